"""The speed of training, without the time of compilation, evaluation and checkpoints."""

import dataclasses
import time
from collections.abc import Callable


@dataclasses.dataclass(frozen=True)
class Lap:
    """Speed over a number of steps.

    Attributes:
      images_per_second: training images per second of training.
      data_wait: share of the time in which the loop waited for a batch.
    """

    images_per_second: float
    data_wait: float


class Clock:
    """A stopwatch for training.

    Start and stop it when the devices have finished all steps, since steps run asynchronously.
    """

    def __init__(self, now: Callable[[], float] = time.perf_counter) -> None:
        self._now = now
        self._since: float | None = None
        self._seconds = self._waited = 0.0
        self._examples = 0
        self._lap_start = (0.0, 0.0, 0)

    def start(self) -> None:
        """Start, or resume after a stop."""
        self._since = self._now()

    def stop(self) -> None:
        """Pause."""
        if self._since is not None:
            self._seconds += self._now() - self._since
            self._since = None

    def count(self, examples: int, waited: float) -> None:
        """Count a step, unless the clock is stopped.

        Args:
          examples: number of examples in the step.
          waited: seconds that the step waited for its batch.
        """
        if self._since is not None:
            self._examples += examples
            self._waited += waited

    def lap(self) -> Lap:
        """Return the speed since the last lap, and begin a new one."""
        before, self._lap_start = self._lap_start, self._totals()
        return _speed(before, self._lap_start)

    def overall(self) -> Lap:
        """Return the speed since the beginning."""
        return _speed((0.0, 0.0, 0), self._totals())

    def _totals(self) -> tuple[float, float, int]:
        running = self._now() - self._since if self._since is not None else 0.0
        return self._seconds + running, self._waited, self._examples


def _speed(start: tuple[float, float, int], stop: tuple[float, float, int]) -> Lap:
    seconds, waited, examples = (b - a for a, b in zip(start, stop, strict=True))
    if seconds <= 0:
        return Lap(0.0, 0.0)
    return Lap(examples / seconds, waited / seconds)
