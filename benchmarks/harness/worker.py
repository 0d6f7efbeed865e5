"""The process of a form: build it, then run timed calls on request.

Requests are lines of JSON on stdin and answers lines of JSON on stdout:

* at the start, without a request: the form's facts, after two calls as warm-up
* {"calls": N}: [[wall seconds, CPU seconds, busy seconds of other processes], ...] of N calls, divided by
  the workload's `repeats`
* {"matrix_products": N}: GFLOP/s of the fastest of N products, or null
* {"finish": true}: the peak memory and what the form counted; the process ends
"""

import importlib
import importlib.util
import json
import os
import pathlib
import resource
import sys
import time
from collections.abc import Mapping
from typing import Any

import psutil

from benchmarks.harness.forms import Workload

REPOSITORY = pathlib.Path(__file__).parents[2]


def main(specification: Mapping[str, Any]) -> None:
    """Build a form and answer requests until one says to finish.

    Args:
      specification: "build", "options" and "checkout" of a `Form`, and "allocator".
    """
    answers = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)  # what libraries print must not stand between the answers
    checkout = specification["checkout"]
    # A checkout from before this setting runs without it, as its commands do.
    kept = specification["allocator"] == "keep" and _keep_freed_memory(pathlib.Path(checkout or REPOSITORY))
    if checkout:
        _import_library_from(checkout)
    module, _, function = specification["build"].partition(":")
    build = getattr(importlib.import_module(module), function)
    before, started = _cpu_seconds(), time.perf_counter()
    workload: Workload = build(**specification["options"])
    workload.call()
    first = {
        "first_call_cpu_seconds": round(_cpu_seconds() - before, 2),
        "first_call_seconds": round(time.perf_counter() - started, 2),
    }
    workload.call()
    _answer(answers, {**workload.facts, **first, "keeps_freed_memory": kept})
    for line in sys.stdin:
        request = json.loads(line)
        if "calls" in request:
            _answer(answers, [_timed(workload) for _ in range(request["calls"])])
        elif "matrix_products" in request:
            _answer(answers, _matrix_product_rate(workload, request["matrix_products"]))
        else:
            counted = workload.counted() if workload.counted is not None else {}
            _answer(answers, {**counted, **_memory(workload)})
            return


def _keep_freed_memory(clone: pathlib.Path) -> bool:
    """Call the function of this name of a clone's library, if it has one."""
    # Its file alone is loaded, since importing the library would import JAX in the process of a peer.
    path = clone / "flax_googlenet/runtime/allocator.py"
    if not path.exists():
        return False
    spec = importlib.util.spec_from_file_location("allocator", path)
    assert spec is not None
    assert spec.loader is not None
    allocator: Any = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(allocator)
    return bool(allocator.keep_freed_memory())


def _import_library_from(checkout: str) -> None:
    """Make imports of the library find that of another clone; `benchmarks` stays this one's."""
    for name in [name for name in sys.modules if name.split(".")[0] == "launch"]:
        del sys.modules[name]
    sys.path.insert(0, checkout)


def _answer(answers: Any, value: Any) -> None:
    print(json.dumps(value), file=answers, flush=True)


def _timed(workload: Workload) -> tuple[float, float, float]:
    """Return wall seconds, CPU seconds of this process and busy seconds of all others, per repetition."""
    busy, cpu, start = _busy_seconds(), time.process_time(), time.perf_counter()
    workload.call()
    wall, cpu = time.perf_counter() - start, time.process_time() - cpu
    others = _busy_seconds() - busy - cpu
    return wall / workload.repeats, cpu / workload.repeats, others / workload.repeats


def _busy_seconds() -> float:
    """Return the seconds that the cores of this machine have been busy."""
    times = psutil.cpu_times()
    idle = times.idle + getattr(times, "iowait", 0.0)
    guests = getattr(times, "guest", 0.0) + getattr(times, "guest_nice", 0.0)  # counted in user and nice too
    return float(sum(times) - idle - guests)


def _matrix_product_rate(workload: Workload, repeats: int) -> float | None:
    """Return GFLOP/s of the fastest of several matrix products."""
    if workload.matrix_product is None:
        return None
    workload.matrix_product()
    seconds = []
    for _ in range(repeats):
        start = time.perf_counter()
        workload.matrix_product()
        seconds.append(time.perf_counter() - start)
    return 2e-9 * workload.matrix_side**3 / min(seconds)


def _memory(workload: Workload) -> dict[str, int]:
    peak = {"peak_bytes": _peak_bytes()}
    if workload.peak_device_bytes is not None:
        peak["peak_device_bytes"] = workload.peak_device_bytes()
    return peak


def _peak_bytes() -> int:
    """Return the peak resident memory of this process."""
    status = pathlib.Path("/proc/self/status")
    if status.exists():  # the peak of getrusage would include the parent's at the time of the fork
        for line in status.read_text().splitlines():
            if line.startswith("VmHWM:"):
                return 1024 * int(line.split()[1])
    return 1024 * resource.getrusage(resource.RUSAGE_SELF).ru_maxrss


def _cpu_seconds() -> float:
    """Return the CPU seconds of this process and the children that have ended, such as compilers."""
    times = os.times()
    return times.user + times.system + times.children_user + times.children_system


if __name__ == "__main__":
    main(json.loads(sys.argv[1]))
