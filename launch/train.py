r"""Train a network, or resume a run that was stopped.

  python -m launch.train
  python -m launch.train --config=configs/imagenet.py --workdir=DIR --config.data.path=DIR
  python -m launch.train --config=configs/fine_tune.py --workdir=DIR --config.data.path=DIR \
      --config.init_from=CHECKPOINT

The first line trains on the 5,000 digits of configs/mnist_sample.py. The workdir gets checkpoints,
metrics.jsonl, TensorBoard events and curves.png. The same command resumes a stopped run from its
latest checkpoint, and prints the result of a complete one. At SIGTERM or SIGUSR1, by which schedulers
announce that they take the machine away, it saves a checkpoint and ends with status 75.
"""

import re
from collections.abc import Sequence
from typing import Any

from absl import flags

import launch
from flax_googlenet.checkpoints import describe, find_latest
from flax_googlenet.errors import UserError
from flax_googlenet.training import train
from launch.common import cluster, command

CONFIG = "configs/mnist_sample.py"

_WORKDIR = flags.DEFINE_string(
    "workdir", "runs/mnist_sample", "Directory of the run; if it holds a checkpoint, the run resumes."
)
_PROFILE_STEPS = flags.DEFINE_string(
    "profile_steps", None, "FIRST:LAST, steps of which a trace is written to profile/ in the workdir."
)
_SURVIVE = flags.DEFINE_bool(
    "survive_lost_processes",
    False,
    "Experimental: go on without processes that are killed, except the first one, instead of ending with "
    "status 75.",
)
flags.adopt_module_key_flags(cluster)


def main(arguments: Sequence[str]) -> dict[str, Any]:
    command.refuse_arguments(arguments)
    cluster.join(survives=_SURVIVE.value)
    steps = _profile_steps()
    return train(command.config(_WORKDIR.value), _WORKDIR.value, profile_steps=steps, started=launch.STARTED)


def _profile_steps() -> tuple[int, int] | None:
    """Return the first and the last step of the flag."""
    if _PROFILE_STEPS.value is None:
        return None
    match = re.fullmatch(r"(\d+):(\d+)", _PROFILE_STEPS.value)
    if match is None:
        raise UserError(f'--profile_steps is "{_PROFILE_STEPS.value}"; write FIRST:LAST, such as 20:25.')
    return int(match[1]), int(match[2])


def after_interruption() -> str:
    """Return what the same command would do with the workdir as it is."""
    latest = find_latest(_WORKDIR.value)
    if latest is None:
        return "there is no checkpoint yet; the same command starts over"
    recorded = describe(latest)
    if recorded.result:
        return "the run is complete; the same command prints its result"
    return f"the same command resumes from step {recorded.step}"


if __name__ == "__main__":
    command.run(main, default_config=CONFIG, if_interrupted=after_interruption)
