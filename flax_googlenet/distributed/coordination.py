"""Messages between the processes of a run, which also make them wait for each other.

They go through JAX's coordination service, which the first process runs. Unlike a collective operation of
the devices, a message needs no compiled program, and every wait has a deadline.
"""

import collections
import time
from collections.abc import Iterable
from typing import Any

import jax
from jax._src import distributed  # the service has no public interface; Orbax uses this one, too

from flax_googlenet.errors import UserError

# Seconds to wait for the others where they have little to do. A busy machine takes long to import JAX.
PATIENCE = 300.0

_PREFIX = "flax_googlenet"

_exchanges: collections.Counter[str] = collections.Counter()
_hosts: list[str] = []
_left_out: set[int] = set()


def client() -> Any:
    """Return JAX's client of the coordination service; None for a process without others."""
    return distributed.global_state.client


def process_count() -> int:
    """Return the number of processes of the run, without those that are left out."""
    return distributed.global_state.num_processes - len(_left_out)


def processes() -> list[int]:
    """Return the numbers of the processes of the run, without those that are left out."""
    return [index for index in range(distributed.global_state.num_processes) if index not in _left_out]


def leave_out(lost: Iterable[int]) -> None:
    """Go on without some processes, which all others must do at the same point."""
    _left_out.update(lost)


def process_index() -> int:
    """Return the number of this process, from 0. It does not start the backend of JAX."""
    return distributed.global_state.process_id


def name_hosts(hosts: list[str]) -> None:
    """Record the host name of every process, for `describe`."""
    _hosts[:] = hosts


def describe(index: int) -> str:
    """Return a process as a phrase, such as "process 1 on node7"."""
    return f"process {index}" + (f" on {_hosts[index]}" if index < len(_hosts) else "")


def key_of(*parts: object) -> str:
    """Return the key of something that the processes of a run tell each other."""
    return "/".join(map(str, (_PREFIX, *parts)))


def exchange(topic: str, message: str, *, deadline: float = PATIENCE) -> list[str]:
    """Send a message to all processes, and wait for theirs.

    All processes call this with the same topics in the same order.

    Args:
      topic: what the message is about, as a noun phrase.
      message: any text.
      deadline: seconds to wait.

    Returns:
      The messages of all processes, in their order.

    Raises:
      UserError: if a process sends none in time.
    """
    if client() is None:
        return [message]
    _exchanges[topic] += 1
    name = f"{topic}/{_exchanges[topic]}"
    publish(name, message)
    return gather(name, deadline=deadline)


def publish(topic: str, message: str) -> None:
    """Send a message to all processes, if there are others. Each process sends one about a topic.

    Args:
      topic: what the message is about.
      message: any text.
    """
    if client() is not None:
        client().key_value_set(key_of(topic, process_index()), message)


def gather(topic: str, *, deadline: float = PATIENCE) -> list[str]:
    """Wait for the messages that all processes `publish` about a topic.

    Args:
      topic: what the messages are about, as a noun phrase.
      deadline: seconds to wait.

    Returns:
      The messages of all processes, in their order.

    Raises:
      UserError: if a process sends none in time.
    """
    end = time.monotonic() + deadline
    return [_receive(topic, index, end, deadline) for index in processes()]


def _receive(topic: str, index: int, end: float, deadline: float) -> str:
    """Wait until `end`, by `time.monotonic`, for the message of a process."""
    service, key = client(), key_of(topic)
    try:
        message: str = service.blocking_key_value_get(
            f"{key}/{index}", max(1, round(1000 * (end - time.monotonic())))
        )
    except jax.errors.JaxRuntimeError as error:
        if "DEADLINE_EXCEEDED" not in str(error):
            raise
        present = {int(name.rpartition("/")[2]) for name, _ in service.key_value_dir_get(key)}
        missing = [describe(other) for other in processes() if other not in present]
        raise UserError(
            f"{' and '.join(missing)} did not send its {topic.partition('/')[0]} within {deadline:.0f} s; "
            "see its own messages, and start all processes again."
        ) from error
    return message


def broadcast(topic: str, message: str, *, deadline: float = PATIENCE) -> str:
    """Send a message of the first process to all, and return it.

    All processes call this with the same topics in the same order.

    Args:
      topic: what the message is about, as a noun phrase.
      message: any text; that of the first process counts.
      deadline: seconds to wait.

    Raises:
      UserError: if the first process does not send it in time.
    """
    if client() is None:
        return message
    _exchanges[topic] += 1
    name = f"{topic}/{_exchanges[topic]}"
    if process_index() == 0:
        publish(name, message)
        return message
    return _receive(name, 0, time.monotonic() + deadline, deadline)


def meet(topic: str, *, deadline: float = PATIENCE) -> None:
    """Wait until all processes have come to the same point.

    Args:
      topic: what they have completed, as a noun phrase.
      deadline: seconds to wait.

    Raises:
      UserError: if a process does not come in time.
    """
    exchange(topic, "", deadline=deadline)
