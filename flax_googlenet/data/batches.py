"""Batches as a pure function of (seed, step), and their way to the devices.

Nothing here has a position to save: the batch at a step is computed from the seed and
the step, whatever the number of hosts, devices, threads or restarts.
"""

import collections
import dataclasses
import functools
import itertools
import os
from collections.abc import Generator, Iterable
from concurrent.futures import Future, ThreadPoolExecutor

import jax
import numpy as np
from jax.sharding import NamedSharding
from ml_collections import FrozenConfigDict

from flax_googlenet.data import crops, decoding
from flax_googlenet.data.examples import Source

Batch = dict[str, np.ndarray]

# Streams of the random generator: what its numbers are for.
_SHUFFLE, _CROP = 0, 1


def raw_random(seed: int, stream: int, epoch: int, index: int, count: int) -> np.ndarray:
    """`count` uint64 that depend on the arguments only, from the Philox counter generator.

    Raw words, because NumPy promises never to change them; it does not promise that of
    `Generator.permutation` and the like.
    """
    return np.random.Philox(key=[seed, stream], counter=[0, 0, index, epoch]).random_raw(count)


@functools.lru_cache(maxsize=4)
def permutation(seed: int, epoch: int, length: int) -> np.ndarray:
    """Order of the examples in an epoch: a new one each epoch, over the whole set.

    >>> sorted(permutation(0, 3, 5).tolist())
    [0, 1, 2, 3, 4]
    """
    order = np.argsort(raw_random(seed, _SHUFFLE, epoch, 0, length), kind="stable")
    order.flags.writeable = False
    return order


def crop_uniforms(seed: int, epoch: int, index: int) -> np.ndarray:
    """The 40 numbers in [0, 1) that decide the crop of example `index` in `epoch`."""
    return (raw_random(seed, _CROP, epoch, index, 40) >> np.uint64(11)) * 2.0**-53


def read(source: Source, index: int) -> tuple[np.ndarray, int]:
    """Pixels of an example, decoded, and its label."""
    example = source[index]
    return decoding.decode(example.encoded, example.name), example.label


@dataclasses.dataclass(frozen=True)
class TrainBatches:
    """Endless shuffled batches of "image", uint8 [batch, size, size, 3], and "label", int32.

    Epochs follow each other without a gap: a batch may hold the end of one and the
    beginning of the next, so that none drops its remainder.
    """

    source: Source
    data: FrozenConfigDict
    seed: int
    batch_size: int

    def rows(self, step: int, start: int, stop: int) -> Batch:
        """Rows `start` to `stop` of the global batch at `step`."""
        first = step * self.batch_size
        images, labels = [], []
        for position in range(first + start, first + stop):
            epoch, place = divmod(position, len(self.source))
            index = int(permutation(self.seed, epoch, len(self.source))[place])
            pixels, label = read(self.source, index)
            images.append(decoding.prepare(pixels, self.data, crop_uniforms(self.seed, epoch, index)))
            labels.append(label)
        return {"image": np.stack(images), "label": np.asarray(labels, np.int32)}


@dataclasses.dataclass(frozen=True)
class EvaluationBatches:
    """Every example once, in order, as `crops.prepare` gives it; the last batch is padded.

    "mask", bool [batch], is false for the padding.
    """

    source: Source
    data: FrozenConfigDict
    batch_size: int
    crops: int = 1

    @property
    def steps(self) -> int:
        """Number of batches that hold the whole source."""
        return -(-len(self.source) // self.batch_size)

    def rows(self, step: int, start: int, stop: int) -> Batch:
        """Rows `start` to `stop` of batch `step`."""
        count = stop - start
        batch: Batch = {"label": np.zeros(count, np.int32), "mask": np.zeros(count, bool)}
        for name, shape in crops.shapes(self.data, self.crops).items():
            batch[name] = np.zeros((count, *shape), np.uint8)
        for row in range(count):
            index = step * self.batch_size + start + row
            if index >= len(self.source):
                break
            pixels, batch["label"][row] = read(self.source, index)
            for name, array in crops.prepare(pixels, self.data, self.crops).items():
                batch[name][row] = array
            batch["mask"][row] = True
        return batch


def local_rows(sharding: NamedSharding, batch_size: int) -> tuple[int, int]:
    """First and last-but-one row of the global batch that this host's devices hold."""
    held = sharding.addressable_devices_indices_map((batch_size,)).values()
    slices = [index[0].indices(batch_size) for index in held if index is not None]
    return min(start for start, _, _ in slices), max(stop for _, stop, _ in slices)


def to_devices(
    batches: TrainBatches | EvaluationBatches, steps: Iterable[int], sharding: NamedSharding
) -> Generator[dict[str, jax.Array], None, None]:
    """Decode in threads, a few batches ahead, and put each batch on the devices.

    Args:
      batches: what to read.
      steps: which batches, in order.
      sharding: how their rows lie on the devices; each host reads its own only.

    Yields:
      The global batch as sharded arrays.
    """
    first, last = local_rows(sharding, batches.batch_size)
    workers = batches.data.workers or os.cpu_count() or 1
    edges = np.linspace(first, last, min(workers, last - first) + 1).astype(int).tolist()
    pool = ThreadPoolExecutor(workers, thread_name_prefix="decode")
    ahead: collections.deque[list[Future[Batch]]] = collections.deque()

    def collect() -> dict[str, jax.Array]:
        parts = [part.result() for part in ahead.popleft()]
        rows = {name: np.concatenate([part[name] for part in parts]) for name in parts[0]}
        return {
            name: jax.make_array_from_process_local_data(
                sharding, array, (batches.batch_size, *array.shape[1:])
            )
            for name, array in rows.items()
        }

    try:
        for step in steps:
            ahead.append(
                [pool.submit(batches.rows, step, start, stop) for start, stop in itertools.pairwise(edges)]
            )
            if len(ahead) > batches.data.prefetch:
                yield collect()
        while ahead:
            yield collect()
    finally:
        pool.shutdown(wait=True, cancel_futures=True)
