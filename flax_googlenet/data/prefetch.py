"""Prefetching: batches are decoded by worker threads and put on the devices a few steps ahead."""

import collections
import itertools
from collections.abc import Generator, Iterable, Iterator

import jax
import numpy as np
from jax.sharding import NamedSharding

from flax_googlenet.data.batches import Batch, EvaluationBatches, TrainBatches
from flax_googlenet.distributed import preemption
from flax_googlenet.workers import Workers

ON_DEVICE = 2  # batches that are put on the devices before they are requested

DeviceBatch = dict[str, jax.Array]


def to_devices(
    batches: TrainBatches | EvaluationBatches, steps: Iterable[int], sharding: NamedSharding
) -> Generator[DeviceBatch, None, None]:
    """Decode batches in worker threads, a bounded number ahead, and put them on the devices.

    Args:
      batches: the batches to decode.
      steps: the steps of the batches, in order.
      sharding: how the rows of a batch are split over the devices. Each host reads only the rows
        that its devices hold.

    Yields:
      The global batch at each step, as sharded arrays.

    Raises:
      UserError: if an image is corrupt, or a read takes longer than the deadline.
      StopHere: if the run is preempted while a batch is waited for.
    """
    first, end = local_rows(sharding, batches.batch_size)
    with Workers(batches.data.workers, "decode", while_waiting=preemption.check) as pool:
        shares = list(itertools.pairwise(_edges(end - first, pool.count)))

        def tasks() -> Iterator[tuple[Batch, int, int, int]]:
            for step in steps:
                batch = batches.empty(end - first)
                for start, stop in shares:
                    yield batch, step, start, stop

        def fill(task: tuple[Batch, int, int, int]) -> Batch:
            batch, step, start, stop = task
            rows = {name: array[start:stop] for name, array in batch.items()}
            batches.fill(rows, step, first + start)
            return batch

        # A batch is complete once all its shares are filled.
        filled = pool.map(fill, tasks(), ahead=batches.data.prefetch * len(shares))
        on_device: collections.deque[DeviceBatch] = collections.deque()
        while True:
            while len(on_device) < ON_DEVICE and (not on_device or filled.is_ready(len(shares))):
                if not (parts := list(itertools.islice(filled, len(shares)))):
                    break
                on_device.append(_put(parts[0], batches.batch_size, sharding))
            if not on_device:
                return
            yield on_device.popleft()


def local_rows(sharding: NamedSharding, batch_size: int) -> tuple[int, int]:
    """Return the first row of the global batch that this host's devices hold, and one past the last."""
    indices = sharding.addressable_devices_indices_map((batch_size,)).values()
    slices = [index[0].indices(batch_size) for index in indices if index is not None]
    return min(start for start, _, _ in slices), max(stop for _, stop, _ in slices)


def _edges(rows: int, workers: int) -> list[int]:
    """Return the edges of the shares of `rows` that worker threads fill, one per thread at most."""
    return np.linspace(0, rows, min(workers, rows) + 1).astype(int).tolist()


def _put(batch: Batch, batch_size: int, sharding: NamedSharding) -> DeviceBatch:
    return {
        name: jax.make_array_from_process_local_data(sharding, array, (batch_size, *array.shape[1:]))
        for name, array in batch.items()
    }
