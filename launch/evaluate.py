"""Evaluate checkpoints on the validation split.

  python -m launch.evaluate --checkpoint=DIR
  python -m launch.evaluate --checkpoint=DIR --crops=144 --out=REPORT
  python -m launch.evaluate --checkpoint=A,B,C --config.data.path=OTHER_DATA

DIR is the workdir of a run, which stands for its latest checkpoint, or a checkpoint in it. Every image of
the split counts exactly once. Probabilities are averaged over crops and checkpoints, as in the paper.
"""

from collections.abc import Sequence
from typing import Any

from absl import flags

import flax_googlenet
from flax_googlenet.data.images import crops
from launch.common import cluster, command

_CHECKPOINT = flags.DEFINE_list(
    "checkpoint",
    None,
    "Workdir of a run, a checkpoint in it, or gs://BUCKET/RUN; A,B,C makes an ensemble.",
    required=True,
)
_CROPS = flags.DEFINE_enum(
    "crops",
    "1",
    [str(number) for number in crops.NUMBERS],
    "Number of crops per image (section 7 of the paper).",
)
_AUX_HEADS = flags.DEFINE_bool("aux_heads", False, "Evaluate the auxiliary heads too.")
_OUT = flags.DEFINE_string(
    "out", None, "Directory for results.json and, for up to 50 classes, confusion.png."
)

flags.adopt_module_key_flags(cluster)

_REPORT_ONLY = ("class_accuracy", "class_examples", "confusion")


def main(arguments: Sequence[str]) -> dict[str, Any]:
    command.refuse_arguments(arguments)
    cluster.join()
    for path in _CHECKPOINT.value:
        command.refuse_weights_file(path)
    overrides = command.overrides()
    figures = flax_googlenet.evaluate(
        _CHECKPOINT.value,
        crops=int(_CROPS.value),
        aux_heads=_AUX_HEADS.value,
        data=overrides["data"],
        batch_size=overrides["evaluation"].get("batch_size"),
        out=_OUT.value,
    )
    return {name: value for name, value in figures.items() if name not in _REPORT_ONLY}


if __name__ == "__main__":
    command.run(main, sections=("data", "evaluation"))
