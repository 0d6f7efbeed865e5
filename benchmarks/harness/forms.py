"""A form is one implementation of a workload; a workload is what its process builds and calls."""

import dataclasses
import os
from collections.abc import Callable, Mapping
from typing import Any


@dataclasses.dataclass(frozen=True)
class Form:
    """An implementation to measure.

    Attributes:
      name: its name in the result.
      build: "module:function" that returns the form's `Workload`, called in the form's process.
      options: keyword arguments of `build`, ready for JSON.
      checkout: clone of the project whose library the process imports; "" for this one's.
      environment: environment variables of the process.
    """

    name: str
    build: str
    options: Mapping[str, Any] = dataclasses.field(default_factory=dict)
    checkout: str = ""
    environment: Mapping[str, str] = dataclasses.field(default_factory=dict)


@dataclasses.dataclass(frozen=True)
class Workload:
    """A workload, ready to be called.

    Attributes:
      call: does the work and returns when it is complete, on an accelerator too.
      facts: what is known about it, ready for JSON: "library", "device", and if known
        "temp_bytes" of compiled programs, "compile_cpu_seconds", and the "flop" of the work.
      matrix_product: computes one product of square matrices and returns when it is complete;
        None if the library has none.
      matrix_side: side of these matrices.
      peak_device_bytes: returns the peak memory of the accelerator; None on a CPU.
      counted: returns what the workload counted during its calls, as more facts; None if nothing.
      repeats: how many times a call does the work. The times of a call are divided by it.
    """

    call: Callable[[], Any]
    facts: Mapping[str, Any] = dataclasses.field(default_factory=dict)
    matrix_product: Callable[[], Any] | None = None
    matrix_side: int = 2048
    peak_device_bytes: Callable[[], int] | None = None
    counted: Callable[[], Mapping[str, Any]] | None = None
    repeats: int = 1


def cores() -> int:
    """Return the number of cores that this process may use, which is the number of threads of every form."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
