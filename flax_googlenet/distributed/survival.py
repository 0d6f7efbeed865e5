"""Going on without the processes that a run has lost: an experiment.

JAX marks what this uses as not stable: `jax_enable_recoverability` and `live_devices`.
"""

import contextlib
import os
from collections.abc import Iterator
from typing import NoReturn

import jax
from jax.experimental import multihost_utils

from flax_googlenet.distributed.coordination import (
    client,
    describe,
    leave_out,
    processes,
)
from flax_googlenet.distributed.watchdog import end_process

# Seconds after which the devices of CPUs give up a common operation. They form a ring, in which some of the
# survivors would wait for those that have noticed the loss.
_XLA_OPTION = "xla_cpu_collective_timeout_seconds"
COLLECTIVE_TIMEOUT = 20

_is_on = False


class ProcessesLost(Exception):  # noqa: N818
    """Other processes are gone. What was computed with them since the start of `all_or_none` is void."""

    def __init__(self, lost: list[int]) -> None:
        names = " and ".join(map(describe, lost))
        verb = "was" if len(lost) == 1 else "were"
        super().__init__(f"{names} {verb} lost; {len(processes())} of the processes go on.")


def turn_on() -> None:
    """Make JAX go on when a process is lost. Call it before JAX starts its backend."""
    global _is_on
    _is_on = True
    jax.config.update("jax_enable_recoverability", True)
    given = os.environ.get("XLA_FLAGS", "")
    if _XLA_OPTION not in given:
        option = f"{_XLA_OPTION}={COLLECTIVE_TIMEOUT}"
        os.environ["XLA_FLAGS"] = f"{given} --{option}"


def is_on() -> bool:
    """Return whether the run goes on when a process is lost."""
    return _is_on


def remaining_devices() -> list[jax.Device]:
    """Return the devices of the processes that are left, in the order of `jax.devices`."""
    return [device for device in jax.devices() if device.process_index in processes()]


@contextlib.contextmanager
def all_or_none() -> Iterator[None]:
    """Compute something with the devices of all processes, which enter and leave the block together.

    Without `turn_on`, the block does nothing of its own.

    Raises:
      ProcessesLost: in all processes that are left, if one was lost before they left the block. What they
        computed in it does not count, even if it was complete for some of them.
    """
    if not _is_on or client() is None:
        yield
        return
    devices = remaining_devices()
    try:
        with multihost_utils.live_devices(devices) as live:
            if len(live) < len(devices):  # one was lost before the block
                raise multihost_utils.ProcessFailureError(set(devices) - set(live))
            yield
    except multihost_utils.ProcessFailureError as error:
        lost = sorted({device.process_index for device in error.failed_devices})
        leave_out(lost)
        raise ProcessesLost(lost) from error


def give_up(reason: str) -> NoReturn:
    """End this process, because those that are left cannot go on. All of them do so.

    Args:
      reason: why they cannot.
    """
    end_process(f"The processes that are left cannot go on: {reason}")
