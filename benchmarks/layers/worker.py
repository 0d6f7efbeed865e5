"""A process for each library, so that the threads of one do not run beside those of another."""

import concurrent.futures
import importlib
import multiprocessing

from benchmarks.layers.cases import Case
from benchmarks.layers.timing import Ceilings, Options, Timing
from flax_googlenet.runtime.allocator import keep_freed_memory

# Library -> module with the functions `measure` and `ceilings`.
LIBRARIES = {"ours": "benchmarks.layers.ours", "torch": "benchmarks.layers.torch_peer"}


class Worker:
    """The process of a library.

    Attributes:
      name: key of `LIBRARIES`.
      options: how its layers are run.
    """

    def __init__(self, name: str, options: Options) -> None:
        self.name, self.options = name, options
        context = multiprocessing.get_context("spawn")
        self._executor = concurrent.futures.ProcessPoolExecutor(1, context, keep_freed_memory)

    def ceilings(self) -> Ceilings:
        """Measure the ceilings."""
        return self._executor.submit(_ceilings, self.name, self.options).result()

    def measure(self, case: Case) -> dict[str, Timing]:
        """Measure the passes of a layer."""
        return self._executor.submit(_measure, self.name, case, self.options).result()

    def close(self) -> None:
        """End the process."""
        self._executor.shutdown()


def _ceilings(name: str, options: Options) -> Ceilings:
    ceilings: Ceilings = importlib.import_module(LIBRARIES[name]).ceilings(options)
    return ceilings


def _measure(name: str, case: Case, options: Options) -> dict[str, Timing]:
    timings: dict[str, Timing] = importlib.import_module(LIBRARIES[name]).measure(case, options)
    return timings
