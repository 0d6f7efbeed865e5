"""The time for which the input holds Python's global interpreter lock, by sampling with py-spy.

The process that is sampled is this module, run as

  python -m benchmarks.end_to_end.interpreter_lock CONFIG SECONDS
"""

import itertools
import json
import os
import pathlib
import shutil
import subprocess
import sys
import sysconfig
import tempfile
import time
from collections.abc import Mapping
from typing import Any

from flax_googlenet.errors import UserError

RATE = 500  # samples per second


def measure_lock(config: Mapping[str, Any], seconds: float) -> dict[str, float]:
    """Return what an image costs the interpreter with one worker thread.

    Args:
      config: the config of the input, before it is resolved.
      seconds: how long to read.

    Returns:
      "held_microseconds", the time per image for which any thread holds the lock, and "cpu_microseconds",
      the CPU time per image. The samples count wall time, in which the thread may have had to wait for a
      core, so that they are scaled by the CPU seconds per second of the process.

    Raises:
      UserError: if py-spy is missing or fails.
    """
    with tempfile.TemporaryDirectory() as directory:
        stacks = pathlib.Path(directory) / "stacks"
        command = [_find_py_spy(), "record", "--gil", "--nonblocking", f"--rate={RATE}", "--format=raw"]
        arguments = [json.dumps(config), str(seconds)]
        process = subprocess.run(
            [*command, f"--output={stacks}", "--", sys.executable, "-m", __spec__.name, *arguments],
            capture_output=True,
            text=True,
            check=False,
        )
        figures = next((line for line in process.stdout.splitlines() if line.startswith("{")), None)
        if figures is None or not stacks.exists():
            print(process.stderr, file=sys.stderr)
            raise UserError("py-spy could not sample the process; its stderr is above.")
        read = json.loads(figures)
        samples = count_samples(stacks.read_text())
    busy = min(read["cpu_seconds"] / read["seconds"], 1.0)
    return {
        "held_microseconds": round(1e6 * busy * samples / RATE / read["images"], 2),
        "cpu_microseconds": round(1e6 * read["cpu_seconds"] / read["images"], 1),
    }


def count_samples(stacks: str) -> int:
    r"""Return the number of samples in which the input ran, in the main thread or a worker.

    Args:
      stacks: lines of py-spy's raw format: the frames, separated by semicolons, and the number of samples.

    >>> count_samples("<module> (a.py:1);import (b.py:2) 7\n<module> (a.py:3);timed (c.py:4) 5\n")
    5
    """
    counted = 0
    for line in stacks.splitlines():
        frames, _, count = line.rpartition(" ")
        is_main, is_worker = f";{timed.__name__} (" in frames, "_Worker.run (" in frames
        if is_main or is_worker:
            counted += int(count)
    return counted


def timed(config: Mapping[str, Any], seconds: float) -> dict[str, float]:
    """Read batches for some seconds, and return the number of images, the seconds and the CPU seconds."""
    from benchmarks.end_to_end.workloads import read_batches

    reading = read_batches(config, itertools.count())
    started, cpu, images = time.perf_counter(), time.process_time(), 0
    while time.perf_counter() - started < seconds:
        images += len(next(reading)["label"])
    return {
        "images": images,
        "seconds": time.perf_counter() - started,
        "cpu_seconds": time.process_time() - cpu,
    }


def _find_py_spy() -> str:
    scripts = sysconfig.get_path("scripts")
    path = shutil.which("py-spy", path=os.pathsep.join([scripts, os.environ.get("PATH", "")]))
    if path is None:
        raise UserError(
            "The time under the interpreter lock is measured with py-spy, which is not installed; install it "
            "with pip install --group peers in a clone, or leave it out with --lock_seconds=0."
        )
    return path


if __name__ == "__main__":
    print(json.dumps(timed(json.loads(sys.argv[1]), float(sys.argv[2]))), flush=True)
