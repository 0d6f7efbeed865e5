"""Batches as a pure function of (seed, step).

There is no iterator state to save: a batch depends only on the seed and the step, not on hosts,
devices, threads or restarts.
"""

import dataclasses
import functools
import logging
from collections.abc import Callable, Sequence

import numpy as np
from ml_collections import FrozenConfigDict

from flax_googlenet.data.examples import Example, Source
from flax_googlenet.data.images import crops
from flax_googlenet.data.images.decoding import decode
from flax_googlenet.data.images.training_crops import TrainingCrops
from flax_googlenet.data.order import crop_uniforms, permutation, substitute
from flax_googlenet.errors import CorruptImageError
from flax_googlenet.workers import reading

logger = logging.getLogger(__name__)

Batch = dict[str, np.ndarray]

# If this many images in a row are corrupt, the cause is probably not the images.
ATTEMPTS = 10


@dataclasses.dataclass(frozen=True)
class TrainBatches:
    """An endless sequence of shuffled batches.

    A batch holds "image", uint8 [batch, size, size, 3], and "label", int32 [batch].

    Epochs follow each other without a gap: a batch may hold the end of one epoch and the
    beginning of the next, so that no epoch drops its remainder. If `data.on_error` is "skip",
    "bad", bool [batch], marks the rows in which another example replaces a corrupt one.

    Attributes:
      source: the training split.
      data: the data section of a resolved config.
      seed: determines the order of the examples and their crops.
      batch_size: the number of rows of the global batch.
    """

    source: Source
    data: FrozenConfigDict
    seed: int
    batch_size: int

    def empty(self, count: int) -> Batch:
        """Allocate a batch of `count` rows."""
        size = self.data.image_size
        batch = {"image": np.zeros((count, size, size, 3), np.uint8), "label": np.zeros(count, np.int32)}
        return _with_bad(batch, self.data, count)

    def fill(self, batch: Batch, step: int, start: int) -> None:
        """Write the rows of the global batch at a step, from row `start` on, to all rows of `batch`."""
        first = step * self.batch_size + start
        examples = [self._example(number) for number in range(first, first + len(batch["image"]))]
        crops, draws = TrainingCrops.of(self.data), crop_uniforms(self.seed, examples).tolist()
        # All files are read before the first is decoded. Decoding empties the processor's caches, so that the
        # Python code after it, and with it the time under the interpreter lock, takes several times as long.
        prepared = []
        for row, (example, uniforms) in enumerate(zip(examples, draws, strict=True)):
            try:
                prepared.append((row, example, self._prepare(batch, row, crops, example[1], uniforms)))
            except CorruptImageError as error:
                self._replace(batch, row, crops, example, error)
        for row, example, decode_into in prepared:
            try:
                decode_into(batch["image"][row])
            except CorruptImageError as error:
                self._replace(batch, row, crops, example, error)

    def _example(self, number: int) -> tuple[int, int]:
        """Return the epoch and the index of the example with a number in the order of training."""
        epoch, position = divmod(number, len(self.source))
        return epoch, int(permutation(self.seed, epoch, len(self.source))[position])

    def _prepare(
        self, batch: Batch, row: int, crops: TrainingCrops, index: int, uniforms: Sequence[float]
    ) -> Callable[[np.ndarray], None]:
        """Read an example, write its label to a row, and return the function that decodes its crop."""
        example = read_example(self.source, index)
        batch["label"][row] = example.label
        return crops.prepare(example.encoded, example.name, uniforms)

    def _replace(
        self,
        batch: Batch,
        row: int,
        crops: TrainingCrops,
        example: tuple[int, int],
        error: CorruptImageError,
    ) -> None:
        """Write another example than a corrupt one to a row, if the config says so."""
        if self.data.on_error == "raise":
            raise error
        batch["bad"][row] = True
        epoch, index = example
        for attempt in range(1, ATTEMPTS):
            _warn_once(f"{error} Another image takes its place.")
            index = substitute(self.seed, epoch, index, attempt, len(self.source))
            (uniforms,) = crop_uniforms(self.seed, [(epoch, index)]).tolist()
            try:
                self._prepare(batch, row, crops, index, uniforms)(batch["image"][row])
            except CorruptImageError as another:
                error = another
            else:
                return
        raise error


@dataclasses.dataclass(frozen=True)
class EvaluationBatches:
    """Batches that hold every example once, in order. The last batch is padded.

    A batch holds the arrays of `crops.host_squares`, "label", int32 [batch], and "mask", bool
    [batch], which is false for the padding. If `data.on_error` is "skip", "bad", bool [batch],
    marks corrupt images, and "mask" is false for them too.

    Attributes:
      source: the split to evaluate.
      data: the data section of a resolved config.
      batch_size: the number of rows of the global batch.
      crops: the number of crops per image: 1, 10 or 144.
    """

    source: Source
    data: FrozenConfigDict
    batch_size: int
    crops: int = 1

    @property
    def steps(self) -> int:
        """Number of batches."""
        return -(-len(self.source) // self.batch_size)

    def empty(self, count: int) -> Batch:
        """Allocate a batch of `count` rows."""
        batch = {"label": np.zeros(count, np.int32), "mask": np.zeros(count, bool)}
        for name, shape in crops.shapes(self.data, self.crops).items():
            batch[name] = np.zeros((count, *shape), np.uint8)
        return _with_bad(batch, self.data, count)

    def fill(self, batch: Batch, step: int, start: int) -> None:
        """Write the rows of the global batch at a step, from row `start` on, to all rows of `batch`."""
        first = step * self.batch_size + start
        for row in range(min(len(batch["mask"]), len(self.source) - first)):
            try:
                example = read_example(self.source, first + row)
                image = decode(example.encoded, example.name)
            except CorruptImageError as error:
                if self.data.on_error == "raise":
                    raise
                _warn_once(f"{error} It is not evaluated.")
                batch["bad"][row] = True
                continue
            for name, array in crops.host_squares(image, self.data, self.crops).items():
                batch[name][row] = array
            batch["label"][row], batch["mask"][row] = example.label, True


def read_example(source: Source, index: int) -> Example:
    """Read an example of a source.

    Raises:
      CorruptImageError: if its file cannot be read.
    """
    try:
        with reading(f"Example {index}"):
            return source[index]
    except OSError as error:
        name = error.filename or f"Example {index}"
        raise CorruptImageError(f"{name} cannot be read: {error.strerror or error}; restore it.") from error


def _with_bad(batch: Batch, data: FrozenConfigDict, count: int) -> Batch:
    return {**batch, "bad": np.zeros(count, bool)} if data.on_error == "skip" else batch


@functools.cache
def _warn_once(message: str) -> None:
    """Log a warning only the first time, since every epoch repeats it."""
    logger.warning(message)
