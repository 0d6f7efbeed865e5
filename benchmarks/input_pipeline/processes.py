"""A loader in a process of its own: its rate, its CPU time and its memory."""

import dataclasses
import json
import os
import pathlib
import subprocess
import sys
import tempfile

import psutil


@dataclasses.dataclass(frozen=True)
class Measured:
    """What a loader took.

    Attributes:
      images: that it gave.
      images_per_second: by the clock.
      cpu_milliseconds: of an image, of all its threads and processes.
      memory: MB about every second, what its processes share counted once.
    """

    images: int
    images_per_second: float
    cpu_milliseconds: float
    memory: list[float]


def measure(name: str, folder: pathlib.Path, batch_size: int, workers: int, seconds: float) -> Measured:
    """Run one loader, or one decoder, for so many seconds.

    Raises:
      RuntimeError: with what it wrote, if it fails.
    """
    arguments = map(str, (name, folder, batch_size, workers, seconds))
    lines: list[dict[str, float]] = []
    memory: list[float] = []
    cpu: list[float] = []
    with tempfile.TemporaryFile("w+") as errors:
        process = subprocess.Popen(
            [sys.executable, "-m", "benchmarks.input_pipeline.measure", *arguments],
            stdout=subprocess.PIPE,
            stderr=errors,
            text=True,
            env={**os.environ, "CUDA_VISIBLE_DEVICES": "", "JAX_PLATFORMS": "cpu"},
        )
        assert process.stdout is not None
        for line in process.stdout:
            lines.append(json.loads(line))
            megabytes, cpu_seconds = _usage(process.pid)
            memory.append(megabytes)
            cpu.append(cpu_seconds)
            if lines[-1]["last"]:
                break
        # Together with the workers that it would leave behind.
        for each in _family(process.pid):
            each.kill()
        process.wait()
        if len(lines) < 2:
            errors.seek(0)
            raise RuntimeError(f"{name}: {errors.read().strip()[-2000:]}")
    first, last = lines[0], lines[-1]
    images = last["images"] - first["images"]
    return Measured(
        int(images),
        images / (last["seconds"] - first["seconds"]),
        1000 * (cpu[-1] - cpu[0]) / images,
        memory,
    )


def _family(pid: int) -> list[psutil.Process]:
    try:
        parent = psutil.Process(pid)
        return [parent, *parent.children(recursive=True)]
    except psutil.NoSuchProcess:
        return []


def _usage(pid: int) -> tuple[float, float]:
    """MB and CPU seconds of a process and its children."""
    memory = cpu = 0.0
    for each in _family(pid):
        memory += each.memory_full_info().pss / 1e6
        times = each.cpu_times()
        cpu += times.user + times.system
    return memory, cpu
