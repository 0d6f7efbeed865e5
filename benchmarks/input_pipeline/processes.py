"""Measurement of a loader in its own process: throughput, CPU time and memory."""

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
    """The measurement of a loader.

    Attributes:
      images: number of images.
      images_per_second: throughput in wall time.
      cpu_milliseconds: CPU time per image over all threads and processes.
      memory: MB about once per second; memory that processes share counts once.
    """

    images: int
    images_per_second: float
    cpu_milliseconds: float
    memory: list[float]


def measure(name: str, folder: pathlib.Path, batch_size: int, workers: int, seconds: float) -> Measured:
    """Run a loader or a decoder in its own process.

    Args:
      name: key of the loader or decoder.
      folder: directory with JPEG files in train/CLASS.
      batch_size: images per batch.
      workers: number of worker threads or processes.
      seconds: length of the run.

    Raises:
      RuntimeError: with the process's stderr, if it fails.
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
        # Killing only the parent would leave its worker processes behind.
        for member in _family(process.pid):
            member.kill()
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
    """Return a process and its descendants."""
    try:
        parent = psutil.Process(pid)
        return [parent, *parent.children(recursive=True)]
    except psutil.NoSuchProcess:
        return []


def _usage(pid: int) -> tuple[float, float]:
    """Return the MB and CPU seconds of a process and its descendants."""
    memory = cpu = 0.0
    for member in _family(pid):
        memory += member.memory_full_info().pss / 1e6
        times = member.cpu_times()
        cpu += times.user + times.system
    return memory, cpu
