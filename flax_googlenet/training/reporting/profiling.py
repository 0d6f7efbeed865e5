"""Traces of single steps, for TensorBoard's profile plugin and Perfetto."""

import logging
import pathlib
import tempfile
from collections.abc import Callable, Sequence
from typing import Any

import jax
from etils import epath

from flax_googlenet.errors import UserError
from flax_googlenet.training.reporting.clock import Clock

logger = logging.getLogger(__name__)

PROFILE_DIRECTORY = "profile"
STEP_NAME = "train"  # of the steps in a trace


def check_profile_steps(steps: Sequence[int] | None, total: int) -> None:
    """Check the first and the last step to trace.

    Args:
      steps: both; None for no trace.
      total: length of the run.

    Raises:
      UserError: if the run has no such steps.
    """
    if steps is None:
        return
    first, last = steps
    if not 1 <= first <= last:
        raise UserError(
            f"profile_steps is {first}:{last}; it must be the first and the last step to trace, like 20:25."
        )
    if last > total:
        raise UserError(
            f"profile_steps is {first}:{last}, but the run ends at step {total}; choose earlier steps."
        )


class Profiler:
    """Traces some steps of a run into the workdir."""

    def __init__(
        self, root: epath.Path, steps: Sequence[int] | None, clock: Clock, *, first_step: int
    ) -> None:
        """Prepare to trace.

        Args:
          root: the workdir.
          steps: the first and the last step to trace; None for no trace.
          clock: the clock of this process. Writing a trace is no training.
          first_step: the step at which this process starts or resumes. Steps up to it are not traced.
        """
        self._root, self._clock, self._done = root, clock, first_step
        first, last = steps or (0, 0)
        self._first, self._last = (max(first, first_step + 1), last) if last > first_step else (0, 0)
        self._local: tempfile.TemporaryDirectory | None = None
        if steps and last <= first_step:
            logger.warning(f"nothing to profile: step {last} was made before this start")

    def wrap(self, step: Callable[..., Any]) -> Callable[..., Any]:
        """Return a training step that is traced when its turn comes."""

        def call(*arguments: Any) -> Any:
            number = self._done + 1
            if number == self._first:
                self._start(arguments)
            with jax.profiler.StepTraceAnnotation(STEP_NAME, step_num=number):
                result = step(*arguments)
            if self._local and number == self._last:
                self._stop(result)
            self._done = number
            return result

        return call

    def close(self) -> None:
        """Write the trace of a run that ends before the last step to trace."""
        if self._local:
            self._stop(None)

    def _start(self, arguments: Any) -> None:
        jax.block_until_ready(arguments)  # what the devices did before is not part of the trace
        # The profiler writes to local directories only, and under names that it chooses.
        self._local = tempfile.TemporaryDirectory(prefix="profile-")
        options = jax.profiler.ProfileOptions()
        options.python_tracer_level = 0  # it would slow the threads that decode images
        jax.profiler.start_trace(self._local.name, profiler_options=options)

    def _stop(self, result: Any) -> None:
        assert self._local
        jax.block_until_ready(result)
        with self._clock.spent("other"), self._local as name:
            jax.profiler.stop_trace()
            for file in sorted(path for path in pathlib.Path(name).rglob("*") if path.is_file()):
                copy = self._root / PROFILE_DIRECTORY / file.relative_to(name)
                copy.parent.mkdir(parents=True, exist_ok=True)
                copy.write_bytes(file.read_bytes())
        self._local = None
        logger.info(
            f"wrote a trace of steps {self._first} to {self._last} into {self._root / PROFILE_DIRECTORY}"
        )
