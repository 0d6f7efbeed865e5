"""Messages between the processes of a run, which also make them wait for each other.

They go through JAX's coordination service, which the first process runs. Unlike a collective operation of
the devices, a message needs no compiled program, and every wait has a deadline.
"""

import collections
import time
from typing import Any

import jax
from jax._src import distributed  # the service has no public interface; Orbax uses this one, too

from flax_googlenet.errors import UserError

# Seconds to wait for the others where they have little to do. A busy machine takes long to import JAX.
PATIENCE = 300.0

# Seconds to wait for the others to compile the same program, which one of them may find in its cache.
COMPILATION = 3600.0

_PREFIX = "flax_googlenet"

_exchanges: collections.Counter[str] = collections.Counter()
_hosts: list[str] = []


def client() -> Any:
    """Return JAX's client of the coordination service; None for a process without others."""
    return distributed.global_state.client


def process_count() -> int:
    """Return the number of processes of the run."""
    return distributed.global_state.num_processes


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
    service = client()
    if service is None:
        return [message]
    _exchanges[topic] += 1
    key = key_of(topic, _exchanges[topic])
    service.key_value_set(f"{key}/{process_index()}", message)
    end = time.monotonic() + deadline
    messages = []
    for index in range(process_count()):
        milliseconds = max(1, round(1000 * (end - time.monotonic())))
        try:
            messages.append(service.blocking_key_value_get(f"{key}/{index}", milliseconds))
        except jax.errors.JaxRuntimeError as error:
            if "DEADLINE_EXCEEDED" not in str(error):
                raise
            present = {int(name.rpartition("/")[2]) for name, _ in service.key_value_dir_get(key)}
            missing = [describe(other) for other in range(process_count()) if other not in present]
            raise UserError(
                f"{' and '.join(missing)} did not send its {topic} within {deadline:.0f} s; see its own "
                "messages, and start all processes again."
            ) from error
    return messages


def meet(topic: str, *, deadline: float = PATIENCE) -> None:
    """Wait until all processes have come to the same point.

    Args:
      topic: what they have completed, as a noun phrase.
      deadline: seconds to wait.

    Raises:
      UserError: if a process does not come in time.
    """
    exchange(topic, "", deadline=deadline)


def compile_together(function: Any, *arguments: Any) -> Any:
    """Compile a jitted function, and wait until all processes have.

    The devices of a process wait only seconds for those of another one in their first common operation, but
    compilation takes minutes on a busy machine, or none if the program is in the compilation cache.

    Args:
      function: a function from `jax.jit`, with the same program on all processes.
      arguments: its arguments, or their shapes.

    Returns:
      The compiled function, for arguments of the same shapes.

    Raises:
      UserError: if a process does not compile it in time.
    """
    compiled = function.lower(*arguments).compile()
    meet("compiled program", deadline=COMPILATION)
    return compiled


def compiled_together(function: Any) -> Any:
    """Return a function that all processes compile together at its first call.

    Args:
      function: as for `compile_together`. Its arguments have the same shapes in every call.
    """
    compiled: Any = None

    def call(*arguments: Any) -> Any:
        nonlocal compiled
        if compiled is None:
            compiled = compile_together(function, *arguments)
        return compiled(*arguments)

    return call
