"""The flags with which a command joins the other processes of a run, and the end of such a run."""

import contextlib
import os
import sys
import traceback
from typing import NoReturn

import jax
from absl import flags

from flax_googlenet import distributed
from flax_googlenet.distributed import preemption
from flax_googlenet.errors import UserError
from launch.common import interrupts

_COORDINATOR = flags.DEFINE_string(
    "coordinator",
    "",
    "HOST:PORT of the first process, for a run of several processes; Slurm, Cloud TPU, Kubernetes jobs and "
    "Open MPI give it.",
)
_NUM_PROCESSES = flags.DEFINE_integer(
    "num_processes", None, "Number of processes of the run, with --coordinator.", lower_bound=1
)
_PROCESS_ID = flags.DEFINE_integer(
    "process_id", None, "Number of this process, from 0, with --coordinator.", lower_bound=0
)
_START_TIMEOUT = flags.DEFINE_integer(
    "start_timeout", 300, "Seconds to wait for the other processes at the start.", lower_bound=1
)
_SILENCE_TIMEOUT = flags.DEFINE_integer(
    "silence_timeout",
    60,
    "Seconds without a sign of life after which another process counts as dead.",
    lower_bound=5,
)


def join(*, survives: bool = False) -> None:
    """Join the other processes of the run that the flags or a cluster name, if there are any.

    From now on, a notice to one process is heeded by all.

    Args:
      survives: whether the run goes on without processes that are lost.

    Raises:
      UserError: if the flags are incomplete, or the processes do not find each other.
    """
    interrupts.on_notice(_notice)
    coordinator, count, index = _COORDINATOR.value, _NUM_PROCESSES.value, _PROCESS_ID.value
    given = {"--coordinator": coordinator or None, "--num_processes": count, "--process_id": index}
    missing = [name for name, value in given.items() if value is None]
    if missing and len(missing) < len(given):
        raise UserError(
            f"There is no {' and no '.join(missing)}; a run of several processes needs "
            "--coordinator, --num_processes and --process_id."
        )
    if not missing:
        host, _, port = coordinator.rpartition(":")
        if not host or not port.isdecimal():
            raise UserError(f'--coordinator is "{coordinator}"; write HOST:PORT, such as node0:29400.')
        assert count is not None
        assert index is not None
        if index >= count:
            raise UserError(f"--process_id is {index}; it must be below --num_processes, which is {count}.")
    distributed.start(
        coordinator,
        count,
        index,
        deadline=_START_TIMEOUT.value,
        silence=_SILENCE_TIMEOUT.value,
        survives=survives,
    )


def _notice() -> float | None:
    """Pass a notice on, as `preemption.notice` does. If this process ends at once, the others do, too."""
    seconds = preemption.notice()
    if seconds is None:
        distributed.leave()
    return seconds


def end_preempted(outlook: str) -> NoReturn:
    """End this process after a scheduler's notice, together with the others.

    Args:
      outlook: what the same command would do.
    """
    print(f"stopped: {outlook}", file=sys.stderr)
    with contextlib.suppress(UserError):  # if another process does not come, the watchdog of each ends it
        distributed.finish(interrupts.TRY_AGAIN)
    _end(interrupts.TRY_AGAIN)


def end_after(error: BaseException, status: int) -> None:
    """End this process after an error, if there are others. They end, too.

    An ordinary end would wait for them, while they wait for this process.

    Args:
      error: the error.
      status: the exit status.
    """
    if isinstance(error, jax.errors.JaxRuntimeError) and "RESOURCE_EXHAUSTED" not in str(error):
        distributed.wait_for_cause()
    sentence = str(error) if isinstance(error, UserError) else f"{type(error).__name__}: {error}"
    if not distributed.end_all(sentence):
        return
    if not isinstance(error, UserError):
        traceback.print_exception(error)
    _end(status)


def _end(status: int) -> NoReturn:
    """End at once, without waiting for threads that compile or for other processes."""
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(status)
