"""Evaluate checkpoints on the whole validation split, every image exactly once.

  python -m launch.evaluate --checkpoint=DIR
  python -m launch.evaluate --checkpoint=DIR --crops=144 --out=REPORT
  python -m launch.evaluate --checkpoint=A,B,C --config.data.path=ANOTHER_PLACE

DIR is a run's workdir, for its last checkpoint, or a checkpoint in it. Probabilities are averaged
over crops and over checkpoints, as in the paper.
"""

from collections.abc import Sequence
from typing import Any

from absl import flags

import flax_googlenet
from flax_googlenet.data.images import crops
from launch import command

_CHECKPOINT = flags.DEFINE_list(
    "checkpoint",
    None,
    "Workdir of a run, a checkpoint in it, or gs://BUCKET/RUN; several with commas make an ensemble.",
    required=True,
)
_CROPS = flags.DEFINE_enum(
    "crops", "1", [str(number) for number in crops.NUMBERS], "Crops per image, averaged as in the paper."
)
_AUX_HEADS = flags.DEFINE_bool("aux_heads", False, "Report the auxiliary heads too.")
_OUT = flags.DEFINE_string("out", None, "Directory for results.json and, of few classes, confusion.png.")

_IN_THE_REPORT_ALONE = ("class_accuracy", "class_examples", "confusion")


def main(arguments: Sequence[str]) -> dict[str, Any]:
    command.refuse_arguments(arguments)
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
    return {name: value for name, value in figures.items() if name not in _IN_THE_REPORT_ALONE}


if __name__ == "__main__":
    command.run(main, sections=("data", "evaluation"))
