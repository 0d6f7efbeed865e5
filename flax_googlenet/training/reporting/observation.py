"""What a run records about itself while it runs: its log, where its time goes, and traces of steps."""

import contextlib
import dataclasses
import logging
from collections.abc import Callable, Mapping, Sequence
from types import TracebackType
from typing import Any, Self

from etils import epath

from flax_googlenet.distributed import Preempted, compile_together, process_index
from flax_googlenet.errors import StopTraining
from flax_googlenet.runtime import compilation
from flax_googlenet.training.reporting.clock import Clock, Lap
from flax_googlenet.training.reporting.conditions import conditions
from flax_googlenet.training.reporting.goodput import Goodput, sentence, shares
from flax_googlenet.training.reporting.log_file import LogFile
from flax_googlenet.training.reporting.profiling import Profiler

logger = logging.getLogger(__name__)

OnEvaluation = Callable[[int, Mapping[str, Any]], None]


class Observation:
    """A context around all that a process of a run does. It writes to the workdir from `start` on.

    Attributes:
      clock: where the time of this process goes.
    """

    def __init__(
        self,
        root: epath.Path,
        *,
        profile_steps: Sequence[int] | None = None,
        started: float | None = None,
        on_evaluation: OnEvaluation | None = None,
    ) -> None:
        """Start the clock.

        Args:
          root: the workdir.
          profile_steps: the first and the last step to trace; None for no trace.
          started: as for `Clock`.
          on_evaluation: as for `train`.
        """
        self.clock = Clock(started=started)
        self._root, self._profile_steps, self._on_evaluation = root, profile_steps, on_evaluation
        self._log = LogFile(root, process_index())
        self._compilations = contextlib.ExitStack()

    def restarted(self) -> "Observation":
        """Return an observation of the same run that starts now, after the end of this one."""
        return Observation(self._root, profile_steps=self._profile_steps, on_evaluation=self._on_evaluation)

    def prepare(self, first_step: int, total_steps: int) -> None:
        """Read what the workdir holds, and check the steps to trace.

        Args:
          first_step: the step at which this process starts or resumes.
          total_steps: length of the run.

        Raises:
          UserError: if the run has no such steps.
        """
        self._profiler = Profiler(self._profile_steps, self._root, self.clock, first_step, total_steps)
        is_first = process_index() == 0
        self._goodput = Goodput(
            self._root,
            self.clock,
            first_step=first_step,
            enabled=is_first,
            conditions=conditions() if is_first else None,
        )

    def __enter__(self) -> Self:
        listeners = compilation.observed(
            compiled=lambda seconds: self.clock.move(seconds, "compile"), saved=self._goodput.count_saved
        )
        self._compilations.enter_context(listeners)
        return self

    def start(self) -> None:
        """Write to the workdir from now on, since everything has been checked.

        Raises:
          UserError: if a file cannot be written.
        """
        self._log.start()
        self._goodput.start()

    def compile_step(self, step: Any, *arguments: Any) -> Any:
        """Compile the training step, as `compile_together` does, and trace it when its turn comes."""
        self._say("compiling the training step ...")
        before = self._goodput.saved, self.clock.seconds()["compile"]
        with self.clock.spent("compile"):
            compiled = compile_together(step, *arguments)
        saved, seconds = self._goodput.saved - before[0], self.clock.seconds()["compile"] - before[1]
        cache = f"; the compilation cache saved {saved:.1f} s" if saved > 0 else ""
        self._say(f"compiled the training step in {seconds:.1f} s{cache}")
        return self._profiler.wrap(compiled)

    def count_step(self, examples: int, waited: float, before: Any) -> None:
        """Count a step as `Clock` does. The wait for its batch does not count if the devices were busy.

        Args:
          examples: number of examples in the step.
          waited: seconds that the loop waited for the batch.
          before: an output of the step before, or None.
        """
        is_busy = before is not None and not before.is_ready()
        self.clock.count(examples, waited=0.0 if is_busy else waited)

    def evaluated(self, step: int, figures: Mapping[str, Any]) -> None:
        """Tell the caller of `train` about an evaluation.

        Raises:
          StopTraining: if the caller ends the run.
        """
        if self._on_evaluation is not None:
            self._on_evaluation(step, figures)

    def summary(self) -> dict[str, Any]:
        """Return where the time of the run went, as `goodput.summarize` does."""
        return self._goodput.summary()

    def lap(self) -> Lap:
        """Return the speed since the last lap, and the share of the run's time of each activity."""
        return dataclasses.replace(self.clock.lap(), shares=shares(self.summary()))

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._compilations.close()
        self._profiler.close()
        self._goodput.close()
        if error is None or isinstance(error, Preempted | StopTraining):
            self._say(sentence(self.summary()))
        self._log.close(error)

    def _say(self, message: str) -> None:
        logger.log(logging.DEBUG if process_index() else logging.INFO, message)
