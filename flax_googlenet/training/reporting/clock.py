"""Where the time of a process goes, and the speed of training."""

import contextlib
import dataclasses
import threading
import time
from collections.abc import Callable, Iterator, Mapping

# What a process does, one at a time.
ACTIVITIES = ("steps", "data", "evaluation", "save", "compile", "start", "other")


@dataclasses.dataclass(frozen=True)
class Lap:
    """Speed over a number of steps.

    Attributes:
      images_per_second: training images per second of training.
      data_wait: share of the time in which the devices waited for a batch.
      shares: share of the time of each activity, over the whole run.
    """

    images_per_second: float
    data_wait: float
    shares: Mapping[str, float] = dataclasses.field(default_factory=lambda: {"steps": 0.0})


class Clock:
    """A stopwatch that gives every second to one activity, from "start" on.

    Leave "steps" only when the devices have finished all steps, since steps run asynchronously.

    Attributes:
      steps_done: number of steps that the devices have finished or were given.
    """

    def __init__(self, now: Callable[[], float] = time.perf_counter, *, started: float | None = None) -> None:
        """Start in the activity "start".

        Args:
          now: the time in seconds.
          started: the time at which the process began; None for now.
        """
        self.steps_done = 0
        self._now = now
        self._since = now() if started is None else started
        self._activity = "start"
        self._seconds = dict.fromkeys(ACTIVITIES, 0.0)
        self._steps = self._examples = 0
        self._first: tuple[float, float, int] | None = None  # the totals when the speed began to count
        self._lap_start = (0.0, 0.0, 0)
        self._lock = threading.RLock()  # another thread may read the seconds

    def begin(self, activity: str) -> None:
        """Give the time from now on to an activity."""
        with self._lock:
            now = self._now()
            self._seconds[self._activity] += now - self._since
            self._activity, self._since = activity, now

    @contextlib.contextmanager
    def spent(self, activity: str) -> Iterator[None]:
        """Give the time inside this context to an activity, and then go on with the one before."""
        before = self._activity
        self.begin(activity)
        try:
            yield
        finally:
            self.begin(before)

    def move(self, seconds: float, activity: str) -> None:
        """Give the last `seconds` of the current activity, as far as it lasted so long, to another one."""
        with self._lock:
            seconds = min(seconds, self._now() - self._since)
            self._seconds[self._activity] -= seconds
            self._seconds[activity] += seconds

    def start(self) -> None:
        """Continue with steps. From the first call on, the speed counts."""
        self.begin("steps")
        if self._first is None:
            self._first = self._lap_start = self._totals()

    def stop(self) -> None:
        """Leave the steps, all of which the devices have finished."""
        self.begin("other")
        self.steps_done = self._steps

    def count(self, examples: int, waited: float) -> None:
        """Count a step, which begins now.

        Args:
          examples: number of examples in the step.
          waited: seconds that the devices had nothing to do before, because the batch was not ready.
        """
        self.steps_done = self._steps
        self._steps += 1
        self._examples += examples
        self.move(waited, "data")

    def seconds(self) -> dict[str, float]:
        """Return the seconds of each activity until now."""
        with self._lock:
            running = self._now() - self._since
            return {**self._seconds, self._activity: self._seconds[self._activity] + running}

    def lap(self) -> Lap:
        """Return the speed since the last lap, and begin a new one."""
        before, self._lap_start = self._lap_start, self._totals()
        return _speed(before, self._lap_start)

    def overall(self) -> Lap:
        """Return the speed since the first `start`."""
        totals = self._totals()
        return _speed(self._first or totals, totals)

    def _totals(self) -> tuple[float, float, int]:
        seconds = self.seconds()
        return seconds["steps"] + seconds["data"], seconds["data"], self._examples


def _speed(start: tuple[float, float, int], stop: tuple[float, float, int]) -> Lap:
    seconds, waited, examples = (b - a for a, b in zip(start, stop, strict=True))
    if seconds <= 0:
        return Lap(0.0, 0.0)
    return Lap(examples / seconds, waited / seconds)
