"""Compilation by all processes of a run together."""

from typing import Any

from flax_googlenet.distributed.coordination import meet
from flax_googlenet.distributed.preemption import wait_for
from flax_googlenet.runtime.compilation import without_alarms

# Seconds to wait for the others to compile the same program, which one of them may find in its cache.
COMPILATION = 3600.0


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
      StopHere: if the run is preempted.
    """
    lowered = function.lower(*arguments)

    def compile_and_meet() -> Any:
        with without_alarms():
            compiled = lowered.compile()
        meet("compiled program", deadline=COMPILATION)
        return compiled

    return wait_for(compile_and_meet)


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
