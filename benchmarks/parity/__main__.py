"""How close our networks are to those of others, layer by layer.

  python -m benchmarks.parity
  python -m benchmarks.parity --out=docs/parity.md

Each row compares arrays with a peer's, run here on the same weights and inputs. The error is the
largest difference, as a share of the largest value in the peer's array; "worst" names the array.
"""

import importlib.metadata
import os
import pathlib
import platform
import sys
import tempfile
from collections.abc import Iterator, Sequence
from typing import Any

import jax
from absl import flags

from benchmarks.parity.comparison import Comparison
from benchmarks.parity.local_response_norm import of_local_response_norm
from benchmarks.parity.onnx import against_onnx
from benchmarks.parity.round_trips import round_trip_onnx, round_trip_stablehlo, round_trip_torchvision
from benchmarks.parity.torchvision import against_torchvision, of_a_photograph
from launch import command

_OUT = flags.DEFINE_string("out", None, "Markdown file for the table, in place of the terminal.")


def comparisons(directory: pathlib.Path) -> Iterator[Comparison]:
    """All of them."""
    yield from against_torchvision()
    yield from against_onnx(directory)
    yield from of_local_response_norm()
    yield from round_trip_torchvision(directory)
    yield from round_trip_onnx(directory)
    yield from round_trip_stablehlo(directory)
    yield from of_a_photograph(directory)


def main(arguments: Sequence[str]) -> dict[str, Any]:
    command.refuse_arguments(arguments)
    lines = ["| compared | arrays | largest error | of | tolerance |", "|---|---:|---:|---|---:|"]
    holds = True
    with tempfile.TemporaryDirectory() as directory:
        for each in comparisons(pathlib.Path(directory)):
            error = each.errors[each.worst]
            holds &= error <= each.tolerance
            lines.append(
                f"| {each.what} | {len(each.errors)} | {error:.1e} | `{each.worst}` | {each.tolerance:.0e} |"
            )
            print(lines[-1], file=sys.stderr)
    if _OUT.value:
        text = "\n".join([_HEAD.format(conditions=conditions()), *lines, ""])
        pathlib.Path(_OUT.value).write_text(text, encoding="utf-8")
    return {"comparisons": len(lines) - 2, "holds": holds}


_HEAD = """# Parity

How close our networks are to those of others, on the same weights and inputs. The error is the largest
difference, as a share of the largest value in the peer's array. Written by

    python -m benchmarks.parity --out=docs/parity.md

{conditions}

In float32, unless said. Batch normalisation over few values magnifies rounding, and every ReLU near 0 that
it turns over changes a gradient, so that what float32 leaves of the gradients says nothing: they are compared
in float64. Running variances are compared after undoing that PyTorch divides by n - 1 and Flax by n. A
tolerance of 0 means bit for bit. The last row is no fault of either: torchvision resizes tensors in another
way than Pillow images, which is the way taken here.
"""


def conditions() -> str:
    """Machine and versions, in a line."""
    packages = ("jax", "flax", "torch", "torchvision", "onnx", "onnxruntime")
    versions = ", ".join(f"{name} {importlib.metadata.version(name)}" for name in packages)
    device = jax.devices()[0].device_kind
    machine = f"{os.cpu_count()} cores, {platform.machine()}, {device}"
    return f"on {machine}; Python {platform.python_version()}, {versions}."


if __name__ == "__main__":
    command.run(main)
