r"""Train a network, or go on with a run that was stopped.

  python -m launch.train
  python -m launch.train --config=configs/imagenet.py --workdir=DIR --config.data.path=DIR
  python -m launch.train --config=configs/fine_tune.py --workdir=DIR --config.data.path=DIR \
      --config.init_from=CHECKPOINT

The workdir gets checkpoints, metrics.jsonl, TensorBoard events and curves.png. The same
command again resumes from the last checkpoint, or says that the run is complete.
"""

import pathlib
from collections.abc import Sequence
from typing import Any

from absl import flags

from flax_googlenet.checkpoints import describe, find_latest
from flax_googlenet.training import train
from launch import command

_WORKDIR = flags.DEFINE_string("workdir", "runs/mnist_sample", "Directory of the run, to make or to resume.")


def main(arguments: Sequence[str]) -> dict[str, Any]:
    command.refuse_arguments(arguments)
    return train(command.config(_WORKDIR.value), _WORKDIR.value)


def after_interruption() -> str:
    """Say what the same command does with the workdir as it is now."""
    latest = find_latest(str(pathlib.Path(_WORKDIR.value).expanduser()))
    if latest is None:
        return "there is no checkpoint yet, and the same command starts anew"
    recorded = describe(latest)
    if recorded.result:
        return "the run is complete, and the same command says so"
    return f"the same command goes on from step {recorded.step}"


if __name__ == "__main__":
    command.run(main, default_config="configs/mnist_sample.py", if_interrupted=after_interruption)
