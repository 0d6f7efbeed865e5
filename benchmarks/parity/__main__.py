"""Compare our networks with those of other frameworks, layer by layer.

  python -m benchmarks.parity
  python -m benchmarks.parity --out=benchmarks/results/parity.json

Each row compares arrays with a peer's, computed here from the same weights and inputs. The error is the
largest absolute difference relative to the largest absolute value in the peer's array, and the array
with the largest error is named.
"""

import pathlib
import sys
import tempfile
from collections.abc import Iterator, Sequence
from typing import Any

from absl import flags

from benchmarks.conditions import conditions, write_result
from benchmarks.parity.attributions import compare_attributions
from benchmarks.parity.comparison import Comparison
from benchmarks.parity.local_response_norm import compare_local_response_norm
from benchmarks.parity.onnx import compare_with_onnx
from benchmarks.parity.round_trips import round_trip_onnx, round_trip_stablehlo, round_trip_torchvision
from benchmarks.parity.torchvision import compare_predictions, compare_with_torchvision
from benchmarks.tables import parity_row
from launch.common import command

_OUT = flags.DEFINE_string("out", None, "JSON file for the result.")


def comparisons(directory: pathlib.Path) -> Iterator[Comparison]:
    """Yield every comparison.

    Args:
      directory: an empty directory for weights and exported models.
    """
    yield from compare_with_torchvision()
    yield from compare_with_onnx(directory)
    yield from compare_local_response_norm()
    yield from round_trip_torchvision(directory)
    yield from round_trip_onnx(directory)
    yield from round_trip_stablehlo(directory)
    yield from compare_attributions()
    yield from compare_predictions(directory)


def main(arguments: Sequence[str]) -> dict[str, Any]:
    command.refuse_arguments(arguments)
    rows: list[dict[str, Any]] = []
    with tempfile.TemporaryDirectory() as directory:
        for comparison in comparisons(pathlib.Path(directory)):
            rows.append(comparison.row())
            print(parity_row(rows[-1]), file=sys.stderr)
    holds = all(row["error"] <= row["tolerance"] for row in rows)
    packages = ("flax", "torch", "torchvision", "onnx", "onnxruntime", "captum")
    write_result(_OUT.value, {"comparisons": rows, "holds": holds, "conditions": conditions(packages)})
    return {"comparisons": len(rows), "holds": holds}


if __name__ == "__main__":
    command.run(main)
