"""Forms of the benchmarks' harness that do next to nothing."""

import os
import pathlib
import time
from typing import Any

from benchmarks.harness.forms import Form, Workload


def form(name: str, **fields: Any) -> Form:
    """Return a form that `logging` builds, unless another builder is named."""
    builder = fields.pop("builder", "logging")
    return Form(name, f"{__name__}:{builder}", **fields)


def logging(name: str, log: str) -> Workload:
    """Return a workload that writes its name to a file at each call."""

    def write(word: str) -> None:
        with pathlib.Path(log).open("a") as file:
            file.write(word)

    print("something on stdout")
    facts = {"library": "none", "device": "none", "flop": 1000, "threads": os.environ.get("OMP_NUM_THREADS")}
    return Workload(lambda: write(name), facts, lambda: write("."), matrix_side=10)


def thousandfold() -> Workload:
    """Return a workload that says to do its work a thousand times in a call of at least 0.05 s."""
    return Workload(lambda: time.sleep(0.05), repeats=1000)


def failing_build() -> Workload:
    raise ValueError("no network")


def failing_call() -> Workload:
    """Return a workload that fails after its warm-up."""
    calls = iter(range(2))
    return Workload(lambda: next(calls))


def library() -> Workload:
    """Return a workload with the paths of the modules that its process imports."""
    import flax_googlenet
    import launch

    return Workload(lambda: None, {"library": flax_googlenet.__file__, "launch": launch.__file__})
