"""Long jobs, and how far they are: a bar on a terminal, a plain line now and then elsewhere."""

import logging
import os
import sys
import threading
import time
from collections.abc import Callable, Iterable
from types import TracebackType
from typing import Self, TypeVar

import tqdm

from flax_googlenet.workers import Workers

logger = logging.getLogger(__name__)

SECONDS_BETWEEN_LINES = 30.0

Task = TypeVar("Task")
Result = TypeVar("Result")


class Progress:
    """Counts up to a total, from several threads."""

    def __init__(self, what: str, total: int, unit: str = "images") -> None:
        self._what, self._total, self._unit = what, total, unit
        self._done = 0
        self._started = self._last_line = time.monotonic()
        self._lock = threading.Lock()
        self._bar = tqdm.tqdm(
            total=total, desc=what, unit=f" {unit}", disable=not sys.stderr.isatty(), dynamic_ncols=True
        )

    def advance(self, count: int = 1) -> None:
        """So many more are done."""
        with self._lock:
            self._done += count
            self._bar.update(count)
            if self._bar.disable and time.monotonic() - self._last_line >= SECONDS_BETWEEN_LINES:
                self._last_line = time.monotonic()
                rate = self._done / (self._last_line - self._started)
                left = tqdm.tqdm.format_interval((self._total - self._done) / rate)
                counted = f"{self._done}/{self._total} {self._unit}"
                logger.info(f"{self._what}: {counted}, {rate:.1f} {self._unit}/s, {left} left")

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._bar.close()


def in_threads(function: Callable[[Task], Result], tasks: Iterable[Task]) -> list[Result]:
    """Results in the order of the tasks, a thread a core; after an error no other task begins."""
    with Workers(os.cpu_count() or 1) as pool:
        return list(pool.map(function, tasks))
