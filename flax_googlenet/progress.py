"""Progress of long jobs: a bar on a terminal, and otherwise a log line every 30 seconds."""

import logging
import sys
import threading
import time
from types import TracebackType
from typing import Self

import tqdm

logger = logging.getLogger(__name__)

SECONDS_BETWEEN_LINES = 30.0


class Progress:
    """A counter up to a known total, which several threads may advance.

    Args:
      description: what the job does, such as "decoding imagenet2012".
      total: the count at the end.
      unit: what is counted.
    """

    def __init__(self, description: str, total: int, unit: str = "images") -> None:
        self._description, self._total, self._unit = description, total, unit
        self._done = 0
        self._started = self._last_line = time.monotonic()
        self._lock = threading.Lock()
        self._bar = tqdm.tqdm(
            total=total,
            desc=description,
            unit=f" {unit}",
            disable=not sys.stderr.isatty(),
            dynamic_ncols=True,
        )

    def advance(self, count: int = 1) -> None:
        """Report that `count` more units are done."""
        with self._lock:
            self._done += count
            self._bar.update(count)
            if self._bar.disable and time.monotonic() - self._last_line >= SECONDS_BETWEEN_LINES:
                self._last_line = time.monotonic()
                rate = self._done / (self._last_line - self._started)
                left = tqdm.tqdm.format_interval((self._total - self._done) / rate)
                counted = f"{self._done}/{self._total} {self._unit}"
                logger.info(f"{self._description}: {counted}, {rate:.1f} {self._unit}/s, {left} left")

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._bar.close()
