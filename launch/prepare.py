"""Make a data set of TensorFlow Datasets, for config.data.source=tfds to read; decode all of it once.

  python -m launch.prepare --dataset=cifar10
  python -m launch.prepare --dataset=imagenet2012 --manual_dir=TARS --data_dir=DIR
  python -m launch.prepare --dataset=imagenet2012 --data_dir=DIR --shorter_side=256

TARS holds ILSVRC2012_img_train.tar and ILSVRC2012_img_val.tar. A data set that is in DIR as
TFRecord is converted. Images that cannot be decoded, and damaged ones that can, are named and
counted. What is killed goes on, or starts anew, with the same command; what is complete is
reported again.
"""

import importlib
from collections.abc import Sequence
from typing import Any

from absl import flags

from flax_googlenet.data.preparation.making import Beam, prepare
from flax_googlenet.errors import UserError
from launch import command

_DATASET = flags.DEFINE_string(
    "dataset", None, "Name in TFDS: imagenet2012, NAME/CONFIG, NAME:VERSION.", required=True
)
_DATA_DIR = flags.DEFINE_string(
    "data_dir",
    "",
    "Where data sets are, as config.data.path; empty for TFDS's default, ~/tensorflow_datasets.",
)
_MANUAL_DIR = flags.DEFINE_string(
    "manual_dir", "", "Where the files are that TFDS cannot download; empty for DATA_DIR/downloads/manual."
)
_SHORTER_SIDE = flags.DEFINE_integer(
    "shorter_side",
    0,
    "Also make a copy whose images have at most so many pixels on their shorter side; 0: no copy.",
)
_BEAM_RUNNER = flags.DEFINE_string(
    "beam_runner", "", "Runner of Apache Beam for builders that use it: DirectRunner, DataflowRunner, ..."
)
_BEAM_OPTIONS = flags.DEFINE_list(
    "beam_options", [], "Options of that runner: project=P,region=R,temp_location=gs://B/T."
)
_IMPORTS = flags.DEFINE_list("imports", [], "Modules to import first, with builders of your own.")


def main(arguments: Sequence[str]) -> dict[str, Any]:
    command.refuse_arguments(arguments)
    for module in _IMPORTS.value:
        try:
            importlib.import_module(module)
        except ModuleNotFoundError as error:
            raise UserError(f"--imports={module}: {error}; give a module that Python finds.") from error
    return prepare(
        _DATASET.value,
        _DATA_DIR.value,
        _MANUAL_DIR.value,
        shorter_side=_SHORTER_SIDE.value,
        beam=Beam(_BEAM_RUNNER.value, tuple(_BEAM_OPTIONS.value)),
    )


if __name__ == "__main__":
    command.run(main, if_interrupted=lambda: "the same command goes on with what is not complete")
