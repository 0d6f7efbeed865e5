"""What do more crops and ensembles gain? Section 7 and Table 3 of the paper.

  python -m studies.crops_and_ensembles --checkpoints=A,B,C --out=benchmarks/results/crops_and_ensembles.json

Evaluates runs of one config that differ in their seeds, alone and as an ensemble, with 1, 10 and 144 crops.
If the runs averaged their weights, it also evaluates those of the last step, on one crop.
"""

from collections.abc import Sequence
from typing import Any

from absl import flags

import flax_googlenet
from benchmarks.conditions import conditions, write_result
from flax_googlenet.errors import UserError
from launch.common import command
from studies.crops_and_ensembles.measurement import measure, without_averaging

_CHECKPOINTS = flags.DEFINE_list("checkpoints", None, "Workdirs of two or more runs.", required=True)
_OUT = flags.DEFINE_string("out", None, "JSON file for the result.")


def main(arguments: Sequence[str]) -> dict[str, Any]:
    """Write all accuracies and return those of the ensembles, by the number of crops."""
    command.refuse_arguments(arguments)
    if len(_CHECKPOINTS.value) < 2:
        raise UserError("--checkpoints names one run; an ensemble has two or more.")
    classifiers = [flax_googlenet.load(path) for path in _CHECKPOINTS.value]
    result: dict[str, Any] = {"models": len(classifiers), "crops": measure(classifiers)}
    if last := list(filter(None, map(without_averaging, classifiers))):
        result["without_averaging"] = measure(last, [1])["1"]
    write_result(_OUT.value, {**result, "conditions": conditions()})
    return {crops: figures["ensemble"] for crops, figures in result["crops"].items()}


if __name__ == "__main__":
    command.run(main)
