"""What is measured of a pass of a layer, and how calls are timed."""

import dataclasses
import statistics
import time
from collections.abc import Callable
from typing import Any

MIN_CALLS = 3


@dataclasses.dataclass(frozen=True)
class Options:
    """How the layers are run.

    Attributes:
      batch_size: images in a batch.
      dtype: name of the dtype of the activations and kernels.
      seconds: time to spend on each pass, after the warm-up.
    """

    batch_size: int
    dtype: str
    seconds: float


@dataclasses.dataclass(frozen=True)
class Timing:
    """A pass of a layer, as measured.

    Attributes:
      seconds: median time of a call.
      bytes: size of the arrays that the call reads and returns, each counted once.
    """

    seconds: float
    bytes: int


@dataclasses.dataclass(frozen=True)
class Ceilings:
    """What the machine reaches at most.

    Attributes:
      flops: operations per second of a large matrix product.
      bandwidth: bytes per second of a + 3 b on arrays that no cache holds, written in place of a.
      device: the device that was measured.
    """

    flops: float
    bandwidth: float
    device: str

    def roof(self, flops: float, bytes_moved: float) -> float:
        """Return the least seconds for a number of operations and a number of bytes.

        >>> Ceilings(100.0, 10.0, "").roof(200.0, 50.0)
        5.0
        """
        return max(flops / self.flops, bytes_moved / self.bandwidth)


def median_seconds(call: Callable[[], Any], seconds: float) -> float:
    """Return the median time of a call, which returns when its result is complete.

    Args:
      call: the call. It is made twice before the clock starts.
      seconds: time to spend; at least `MIN_CALLS` calls are timed.
    """
    for _ in range(2):
        call()
    times: list[float] = []
    until = time.perf_counter() + seconds
    while len(times) < MIN_CALLS or time.perf_counter() < until:
        started = time.perf_counter()
        call()
        times.append(time.perf_counter() - started)
    return statistics.median(times)
