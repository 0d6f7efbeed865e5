"""Evaluate checkpoints on the whole validation split, every image exactly once.

  python -m launch.evaluate --checkpoint=DIR
  python -m launch.evaluate --checkpoint=DIR --crops=144 --out=REPORT
  python -m launch.evaluate --checkpoint=A,B,C --config.data.path=ANOTHER_PLACE

DIR is a run's workdir, for its last checkpoint, or a checkpoint in it. Probabilities are averaged
over crops and over checkpoints, as in the paper.
"""

import pathlib
import sys
from collections.abc import Sequence
from typing import Any

from absl import flags

import flax_googlenet
from flax_googlenet.data import check_classes, crops, open_source
from flax_googlenet.data.imagenet import SPLIT_SIZES, missing_from_validation
from flax_googlenet.data.progress import Progress
from flax_googlenet.errors import UserError
from flax_googlenet.evaluation import Evaluator, Member
from flax_googlenet.evaluation.report import save_report
from flax_googlenet.sharding import data_mesh
from launch import command

_CHECKPOINT = flags.DEFINE_list(
    "checkpoint",
    None,
    "Workdir of a run, a checkpoint in it, or gs://BUCKET/RUN; several with commas make an ensemble.",
    required=True,
)
_CROPS = flags.DEFINE_enum(
    "crops", "1", [str(number) for number in crops.NUMBERS], "Crops of each image, as in the paper."
)
_AUX_HEADS = flags.DEFINE_bool("aux_heads", False, "Figures of the auxiliary heads too.")
_OUT = flags.DEFINE_string("out", None, "Directory for results.json and, of few classes, confusion.png.")

_IN_THE_REPORT_ALONE = ("class_accuracy", "class_examples", "confusion")


def main(arguments: Sequence[str]) -> dict[str, Any]:
    command.refuse_arguments(arguments)
    classifiers = [flax_googlenet.load(path) for path in _CHECKPOINT.value]
    configs = [command.override(each.config.to_dict()) for each in classifiers]
    source = open_source(configs[0].data, "val")
    for path, config in zip(_CHECKPOINT.value, configs, strict=True):
        check_classes(source, config.model.num_classes)
        if _AUX_HEADS.value and not config.model.aux_heads:
            raise UserError(f"{path} has no auxiliary heads; leave out --aux_heads.")
    if missing_from_validation(source.class_names, len(source)):
        print(
            f"note: these are {len(source)} images; ImageNet's validation split has "
            f"{SPLIT_SIZES['validation']}, and published figures are of all of them.",
            file=sys.stderr,
        )
    evaluator = Evaluator(
        [Member(each.model, config.data) for each, config in zip(classifiers, configs, strict=True)],
        source,
        data_mesh(),
        batch_size=configs[0].evaluation.batch_size,
        number_of_crops=int(_CROPS.value),
        all_heads=_AUX_HEADS.value,
        detailed=True,
    )
    with Progress("evaluating", len(source)) as progress:
        figures = evaluator([each.variables for each in classifiers], progress.advance)
    described = {
        "models": len(classifiers),
        "crops": int(_CROPS.value),
        "checkpoint": ",".join(each.checkpoint for each in classifiers),
    }
    if _OUT.value:
        try:
            save_report(pathlib.Path(_OUT.value), {**figures, **described}, classifiers[0].class_names)
        except OSError as error:
            raise UserError(
                f"Cannot write to {_OUT.value}: {error.strerror}; choose another --out."
            ) from error
    return {
        **{name: value for name, value in figures.items() if name not in _IN_THE_REPORT_ALONE},
        **described,
    }


if __name__ == "__main__":
    command.run(main, sections="data evaluation")
