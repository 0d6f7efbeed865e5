"""Batches as a pure function of (seed, step), and their way to the devices.

Nothing here has a position to save: the batch at a step is computed from the seed and
the step, whatever the number of hosts, devices, threads or restarts.
"""

import collections
import dataclasses
import functools
import itertools
import logging
import os
from collections.abc import Generator, Iterable
from concurrent.futures import Future

import jax
import numpy as np
from jax.sharding import NamedSharding
from ml_collections import FrozenConfigDict

from flax_googlenet.data.examples import Example, Source
from flax_googlenet.data.images import crops, decoding, preprocessing
from flax_googlenet.errors import CorruptImageError
from flax_googlenet.workers import Workers, reading

logger = logging.getLogger(__name__)

Batch = dict[str, np.ndarray]

# Streams of the random generator: what its numbers are for.
_SHUFFLE, _CROP, _SUBSTITUTE = 0, 1, 2

# Broken images in a row before something else must be wrong.
ATTEMPTS = 10

ON_DEVICE = 2  # batches that are put on the devices before they are asked for


def raw_random(seed: int, stream: int, epoch: int, index: int, count: int) -> np.ndarray:
    """`count` uint64 that depend on the arguments only, from the Philox counter generator.

    Raw words, because NumPy promises never to change them; it does not promise that of
    `Generator.permutation` and the like.
    """
    key, counter = np.array([seed, stream], np.uint64), np.array([0, 0, index, epoch], np.uint64)
    return np.random.Philox(key=key, counter=counter).random_raw(count)


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
    """The numbers in [0, 1) that decide the crop of example `index` in `epoch`."""
    raw = raw_random(seed, _CROP, epoch, index, preprocessing.UNIFORMS)
    return (raw >> np.uint64(11)) * 2.0**-53


def substitute(seed: int, epoch: int, index: int, attempt: int, length: int) -> int:
    """Index of the example that takes the place of a broken one; another one at each attempt."""
    return int(raw_random(seed, _SUBSTITUTE, epoch, index, attempt)[-1] % np.uint64(length))


@dataclasses.dataclass(frozen=True)
class TrainBatches:
    """Endless shuffled batches of "image", uint8 [batch, size, size, 3], and "label", int32.

    Epochs follow each other without a gap: a batch may hold the end of one and the
    beginning of the next, so that none drops its remainder. Where `data.on_error` is
    "skip", there is also "bad", bool [batch]: in which rows another example took the
    place of one that is broken.
    """

    source: Source
    data: FrozenConfigDict
    seed: int
    batch_size: int

    def empty(self, count: int) -> Batch:
        """Memory for so many rows."""
        size = self.data.image_size
        batch = {"image": np.zeros((count, size, size, 3), np.uint8), "label": np.zeros(count, np.int32)}
        return _with_bad(batch, self.data, count)

    def fill(self, batch: Batch, step: int, start: int) -> None:
        """Write the global batch at `step`, from its row `start` on, into all rows of `batch`."""
        first = step * self.batch_size + start
        for row, image in enumerate(batch["image"]):
            epoch, place = divmod(first + row, len(self.source))
            index = int(permutation(self.seed, epoch, len(self.source))[place])
            for attempt in range(1, ATTEMPTS + 1):
                try:
                    batch["label"][row] = self._read(epoch, index, image)
                    break
                except CorruptImageError as error:
                    if self.data.on_error == "raise" or attempt == ATTEMPTS:
                        raise
                    _announce(f"{error} Another image takes its place.")
                    batch["bad"][row] = True
                    index = substitute(self.seed, epoch, index, attempt, len(self.source))

    def _read(self, epoch: int, index: int, image: np.ndarray) -> int:
        example = read(self.source, index)
        uniforms = crop_uniforms(self.seed, epoch, index)
        preprocessing.prepare_to_train(example.encoded, example.name, self.data, uniforms, image)
        return example.label


@dataclasses.dataclass(frozen=True)
class EvaluationBatches:
    """Every example once, in order, as `crops.prepare` gives it; the last batch is padded.

    "mask", bool [batch], is false for the padding; and, where `data.on_error` is "skip",
    for the images that are broken, which "bad" counts.
    """

    source: Source
    data: FrozenConfigDict
    batch_size: int
    crops: int = 1

    @property
    def steps(self) -> int:
        """Number of batches that hold the whole source."""
        return -(-len(self.source) // self.batch_size)

    def empty(self, count: int) -> Batch:
        """Memory for so many rows."""
        batch = {"label": np.zeros(count, np.int32), "mask": np.zeros(count, bool)}
        for name, shape in crops.shapes(self.data, self.crops).items():
            batch[name] = np.zeros((count, *shape), np.uint8)
        return _with_bad(batch, self.data, count)

    def fill(self, batch: Batch, step: int, start: int) -> None:
        """Write batch `step`, from its row `start` on, into all rows of `batch`."""
        first = step * self.batch_size + start
        for row in range(min(len(batch["mask"]), len(self.source) - first)):
            try:
                example = read(self.source, first + row)
                pixels = decoding.decode(example.encoded, example.name)
            except CorruptImageError as error:
                if self.data.on_error == "raise":
                    raise
                _announce(f"{error} It is not evaluated.")
                batch["bad"][row] = True
                continue
            for name, array in crops.prepare(pixels, self.data, self.crops).items():
                batch[name][row] = array
            batch["label"][row], batch["mask"][row] = example.label, True


def _with_bad(batch: Batch, data: FrozenConfigDict, count: int) -> Batch:
    return {**batch, "bad": np.zeros(count, bool)} if data.on_error == "skip" else batch


@functools.cache
def _announce(sentence: str) -> None:
    """Say it once, however many epochs come across it."""
    logger.warning(f"{sentence}")


def local_rows(sharding: NamedSharding, batch_size: int) -> tuple[int, int]:
    """First and last-but-one row of the global batch that this host's devices hold."""
    held = sharding.addressable_devices_indices_map((batch_size,)).values()
    slices = [index[0].indices(batch_size) for index in held if index is not None]
    return min(start for start, _, _ in slices), max(stop for _, stop, _ in slices)


def read(source: Source, index: int) -> Example:
    """An example of a source.

    Raises:
      CorruptImageError: its file cannot be read.
    """
    try:
        with reading(f"Example {index}"):
            return source[index]
    except OSError as error:
        name = error.filename or f"Example {index}"
        raise CorruptImageError(f"{name} cannot be read: {error.strerror or error}; restore it.") from error


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

    Raises:
      UserError: an image is corrupt, or the read of one does not end.
    """
    first, last = local_rows(sharding, batches.batch_size)
    workers = batches.data.workers or os.cpu_count() or 1
    edges = np.linspace(0, last - first, min(workers, last - first) + 1).astype(int).tolist()
    pool = Workers(workers, "decode")
    ahead: collections.deque[tuple[Batch, list[Future[None]]]] = collections.deque()
    ready: collections.deque[dict[str, jax.Array]] = collections.deque()

    def submit(step: int) -> None:
        batch = batches.empty(last - first)
        parts = [
            pool.submit(
                batches.fill, {name: array[start:stop] for name, array in batch.items()}, step, first + start
            )
            for start, stop in itertools.pairwise(edges)
        ]
        ahead.append((batch, parts))

    def put() -> None:
        batch, parts = ahead.popleft()
        for part in parts:
            pool.result(part)
        ready.append(
            {
                name: jax.make_array_from_process_local_data(
                    sharding, array, (batches.batch_size, *array.shape[1:])
                )
                for name, array in batch.items()
            }
        )

    def next_batch() -> dict[str, jax.Array]:
        while ahead and (not ready or (len(ready) < ON_DEVICE and all(part.done() for part in ahead[0][1]))):
            put()
        return ready.popleft()

    try:
        for step in steps:
            submit(step)
            if len(ahead) + len(ready) > batches.data.prefetch:
                yield next_batch()
        while ahead or ready:
            yield next_batch()
    finally:
        pool.close()
