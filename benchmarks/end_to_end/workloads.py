"""Training from image files, the same steps without the input, and the input alone, as workloads."""

import itertools
import pathlib
import time
from collections.abc import Iterable, Iterator, Mapping
from typing import Any

import jax

from benchmarks.harness.forms import Workload
from benchmarks.harness.jax_workload import jax_facts, matrix_product, peak_device_bytes
from benchmarks.train_step.jax_step import compile_step
from flax_googlenet.config import resolve
from flax_googlenet.data import TrainBatches, open_source, to_devices
from flax_googlenet.sharding import data_mesh, split_batch

WARM_UP = 2  # calls of the harness before those that it times


def train(config: Mapping[str, Any], steps: int, *, reads: bool = True) -> Workload:
    """Return training for some steps as a workload.

    It counts "waiting", the share of the time in which the finished step waits for the next batch.

    Args:
      config: the config, before it is resolved.
      steps: number of steps of a call.
      reads: whether each step takes a new batch from image files; otherwise all take the same random batch.
    """
    step, state, batch, facts = compile_step(config)
    batches: Iterator[Any] = read_batches(config, itertools.count()) if reads else iter(lambda: batch, None)
    waited: list[float] = []

    def call() -> None:
        nonlocal state  # the step consumes it
        started, waiting = time.perf_counter(), 0.0
        for _ in range(steps):
            ready = time.perf_counter()
            following = next(batches)
            waiting += time.perf_counter() - ready
            state, metrics = step(state, following)
            # Otherwise the time for the step would be counted as waiting for the input.
            jax.block_until_ready(metrics)
        waited.append(waiting / (time.perf_counter() - started))

    def counted() -> dict[str, float]:
        timed = waited[WARM_UP:]
        return {"waiting": round(sum(timed) / len(timed), 4)}

    facts = {**facts, "flop": steps * facts["flop"]}
    dtype = resolve(config).model.dtype
    return Workload(call, facts, *matrix_product(dtype), peak_device_bytes(), counted)


def read(config: Mapping[str, Any], batches: int) -> Workload:
    """Return the input alone, up to batches on the device, as a workload.

    Args:
      config: the config, before it is resolved.
      batches: number of batches of a call.
    """

    def call() -> None:
        # From start to end, so that the threads do not decode ahead while other forms are measured.
        for batch in read_batches(config, range(batches)):
            jax.block_until_ready(batch)

    return Workload(call, jax_facts())


def read_batches(config: Mapping[str, Any], steps: Iterable[int]) -> Iterator[Any]:
    """Yield batches of an image folder on the device, as the trainer reads them.

    Args:
      config: the config, before it is resolved.
      steps: the steps of the batches.
    """
    resolved = resolve(config)
    source = open_source(resolved.data, "train")
    batches = TrainBatches(source, resolved.data, resolved.seed, resolved.batch_size)
    return to_devices(batches, steps, split_batch(data_mesh(jax.devices()[:1])))


def data_config(folder: pathlib.Path, **options: Any) -> dict[str, Any]:
    """Return the data section of a config that reads an image folder."""
    return {"source": "image_folder", "path": str(folder), **options}
