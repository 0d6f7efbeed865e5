"""Prepare a data set of TensorFlow Datasets for config.data.source=tfds and decode every image once.

  python -m launch.prepare --dataset=cifar10
  python -m launch.prepare --dataset=imagenet2012 --manual_dir=TARS --data_dir=DIR
  python -m launch.prepare --dataset=imagenet2012 --data_dir=DIR --shorter_side=256

TARS holds ILSVRC2012_img_train.tar and ILSVRC2012_img_val.tar. A data set that exists in DIR as
TFRecord is converted. Corrupt images, and images that decode with warnings, are listed and
counted. The same command resumes an interrupted conversion or copy and restarts an interrupted
build; on a complete data set it prints the same result again.
"""

import importlib
from collections.abc import Sequence
from typing import Any

from absl import flags

from flax_googlenet.data.preparation import Beam, prepare_dataset
from flax_googlenet.errors import UserError
from launch.common import command

_DATASET = flags.DEFINE_string(
    "dataset", None, "Name in TFDS: imagenet2012, NAME/CONFIG or NAME:VERSION.", required=True
)
_DATA_DIR = flags.DEFINE_string(
    "data_dir",
    "",
    "Directory of all data sets, the value for config.data.path; empty for ~/tensorflow_datasets.",
)
_MANUAL_DIR = flags.DEFINE_string(
    "manual_dir",
    "",
    "Directory of the files that TFDS cannot download; empty for DATA_DIR/downloads/manual.",
)
_SHORTER_SIDE = flags.DEFINE_integer(
    "shorter_side",
    0,
    "Also write a copy whose images have at most this many pixels on their shorter side; 0 for no copy.",
)
_BEAM_RUNNER = flags.DEFINE_string(
    "beam_runner", "", "Apache Beam's runner for builders that use it: DirectRunner, DataflowRunner, ..."
)
_BEAM_OPTIONS = flags.DEFINE_list(
    "beam_options", [], "Options for the runner: project=P,region=R,temp_location=gs://B/T."
)
_IMPORTS = flags.DEFINE_list("imports", [], "Modules with your own builders, imported first.")


def main(arguments: Sequence[str]) -> dict[str, Any]:
    command.refuse_arguments(arguments)
    for module in _IMPORTS.value:
        try:
            importlib.import_module(module)
        except ModuleNotFoundError as error:
            raise UserError(f"--imports={module}: {error}; name a module on Python's path.") from error
    return prepare_dataset(
        _DATASET.value,
        _DATA_DIR.value,
        _MANUAL_DIR.value,
        shorter_side=_SHORTER_SIDE.value,
        beam=Beam(_BEAM_RUNNER.value, tuple(_BEAM_OPTIONS.value)),
    )


if __name__ == "__main__":
    command.run(main, if_interrupted=lambda: "the same command resumes with the files that are missing")
