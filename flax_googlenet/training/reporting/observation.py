"""What a run records about itself while it runs: its log, where its time goes, and traces of steps."""

import contextlib
import logging
from collections.abc import Sequence
from types import TracebackType
from typing import Self

from etils import epath

from flax_googlenet.distributed import process_index
from flax_googlenet.runtime import compilation
from flax_googlenet.training.reporting.clock import Clock
from flax_googlenet.training.reporting.goodput import Goodput, sentence
from flax_googlenet.training.reporting.log_file import LogFile
from flax_googlenet.training.reporting.profiling import Profiler

logger = logging.getLogger(__name__)


class Observation:
    """A context around all that a process of a run does. It writes to the workdir from `start` on.

    Attributes:
      goodput: where the time goes.
      profiler: traces the steps that it wraps.
    """

    def __init__(
        self, root: epath.Path, clock: Clock, *, first_step: int, profile_steps: Sequence[int] | None = None
    ) -> None:
        """Prepare to observe.

        Args:
          root: the workdir.
          clock: the clock of this process.
          first_step: the step at which this process starts or resumes.
          profile_steps: the first and the last step to trace; None for no trace.
        """
        self.goodput = Goodput(root, clock, first_step=first_step, enabled=process_index() == 0)
        self.profiler = Profiler(root, profile_steps, clock, first_step=first_step)
        self._log = LogFile(root, process_index())
        self._clock = clock
        self._compilations = contextlib.ExitStack()

    def __enter__(self) -> Self:
        self._compilations.enter_context(
            compilation.observed(
                compiled=lambda seconds: self._clock.move(seconds, "compile"),
                saved=self.goodput.count_saved,
            )
        )
        return self

    def start(self) -> None:
        """Write to the workdir from now on, since everything has been checked.

        Raises:
          UserError: if a file cannot be written.
        """
        self._log.start()
        self.goodput.start()

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._compilations.close()
        self.profiler.close()
        self.goodput.close()
        if error is None:
            level = logging.DEBUG if process_index() else logging.INFO
            logger.log(level, sentence(self.goodput.summary()))
        self._log.close(error)
