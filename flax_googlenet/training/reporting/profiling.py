"""Traces of single steps, for TensorBoard's profile plugin and Perfetto."""

import logging
import pathlib
import tempfile
from collections.abc import Callable, Sequence
from typing import Any

import jax
from etils import epath

from flax_googlenet.distributed import process_index
from flax_googlenet.errors import UserError
from flax_googlenet.paths import make_directory
from flax_googlenet.training.reporting.clock import Clock

logger = logging.getLogger(__name__)

PROFILE_DIRECTORY = "profile"
STEP_NAME = "train"  # of the steps in a trace


class Profiler:
    """Traces some steps of a run into the workdir. Only process 0 does."""

    def __init__(
        self, steps: Sequence[int] | None, root: epath.Path, clock: Clock, first_step: int, total_steps: int
    ) -> None:
        """Check the steps.

        Args:
          steps: the first and the last step to trace; None for no trace.
          root: the workdir.
          clock: the clock of this process, for which writing a trace is no training.
          first_step: the step at which this process starts or resumes. Steps up to it are not traced.
          total_steps: length of the run.

        Raises:
          UserError: if the run has no such steps.
        """
        self._root, self._clock, self._done = root, clock, first_step
        self._first = self._last = 0
        self._local: tempfile.TemporaryDirectory | None = None
        if steps is None:
            return
        first, last = steps
        wanted = f"profile_steps is {first}:{last}"
        if not 1 <= first <= last:
            raise UserError(f"{wanted}; it must be the first and the last step to trace, such as 20:25.")
        if last > total_steps:
            raise UserError(f"{wanted}, but the run ends at step {total_steps}; choose earlier steps.")
        if last <= first_step:
            logger.warning(f"{wanted}, but the run resumes at step {first_step}; no trace is written")
        elif process_index() == 0:
            self._first, self._last = max(first, first_step + 1), last

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
        directory = self._root / PROFILE_DIRECTORY
        try:
            with self._clock.spent("other"), self._local as name:
                jax.profiler.stop_trace()
                _copy(pathlib.Path(name), directory)
        except OSError as error:  # a trace is not worth the end of a run
            logger.warning(f"cannot write a trace into {directory}: {error.strerror}")
        else:
            logger.info(f"wrote a trace of steps {self._first} to {self._last} into {directory}")
        self._local = None


def _copy(source: pathlib.Path, target: epath.Path) -> None:
    for file in sorted(path for path in source.rglob("*") if path.is_file()):
        copy = target / file.relative_to(source)
        make_directory(copy.parent)
        copy.write_bytes(file.read_bytes())
