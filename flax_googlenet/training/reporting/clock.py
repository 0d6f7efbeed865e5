"""How fast a run trains, the time that is not training left out."""

import dataclasses
import time
from collections.abc import Callable


@dataclasses.dataclass(frozen=True)
class Lap:
    """Speed over a stretch of steps.

    Attributes:
      images_per_second: trained on, per second of training.
      data_wait: share of that time in which the loop waited for a batch.
    """

    images_per_second: float
    data_wait: float


class Clock:
    """A stopwatch that is stopped during compilation, evaluation and checkpoints.

    Start and stop it only when the devices have caught up.
    """

    def __init__(self, now: Callable[[], float] = time.perf_counter) -> None:
        self._now = now
        self._since: float | None = None
        self._seconds = self._waited = 0.0
        self._examples = 0
        self._lap_start = (0.0, 0.0, 0)

    def start(self) -> None:
        """Run on from here."""
        self._since = self._now()

    def stop(self) -> None:
        """Pause."""
        if self._since is not None:
            self._seconds += self._now() - self._since
            self._since = None

    def count(self, examples: int, waited: float) -> None:
        """A step of so many examples was launched, after `waited` seconds without a batch."""
        if self._since is not None:
            self._examples += examples
            self._waited += waited

    def lap(self) -> Lap:
        """Speed since the last lap."""
        before, self._lap_start = self._lap_start, self._totals()
        return _speed(before, self._lap_start)

    def overall(self) -> Lap:
        """Speed since the beginning."""
        return _speed((0.0, 0.0, 0), self._totals())

    def _totals(self) -> tuple[float, float, int]:
        running = self._now() - self._since if self._since is not None else 0.0
        return self._seconds + running, self._waited, self._examples


def _speed(start: tuple[float, float, int], stop: tuple[float, float, int]) -> Lap:
    seconds, waited, examples = (b - a for a, b in zip(start, stop, strict=True))
    if seconds <= 0:
        return Lap(0.0, 0.0)
    return Lap(examples / seconds, waited / seconds)
