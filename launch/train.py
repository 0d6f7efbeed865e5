"""Train a network, or go on with a run that was stopped.

  python -m launch.train
  python -m launch.train --config=configs/imagenet.py --workdir=DIR --config.data.path=DIR

The workdir gets checkpoints, metrics.jsonl, TensorBoard events and curves.png. The same
command again resumes from the last checkpoint, or says that the run is complete.
"""

from collections.abc import Sequence
from typing import Any

from absl import flags

from flax_googlenet.training import train
from launch import command

_CONFIG = command.define_config_file("configs/mnist_sample.py")
_WORKDIR = flags.DEFINE_string("workdir", None, "Directory of the run; runs/NAME_OF_THE_CONFIG if not given.")


def main(arguments: Sequence[str]) -> dict[str, Any]:
    command.refuse_arguments(arguments)
    return train(_CONFIG(), _WORKDIR.value or f"runs/{command.config_stem()}")


if __name__ == "__main__":
    command.run(main)
