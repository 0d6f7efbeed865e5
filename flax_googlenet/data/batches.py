"""Batches as a pure function of (seed, step).

There is no iterator state to save: a batch depends only on the seed and the step, not on hosts,
devices, threads or restarts.
"""

import dataclasses
import functools
import logging

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
        labels = batch["label"]
        for row, (image, (epoch, index), uniforms) in enumerate(
            zip(batch["image"], examples, draws, strict=True)
        ):
            try:
                example = read_example(self.source, index)
                crops.decode(example.encoded, example.name, uniforms, image)
                labels[row] = example.label
            except CorruptImageError as error:
                if self.data.on_error == "raise":
                    raise
                labels[row], batch["bad"][row] = self._replace(image, crops, epoch, index, error), True

    def _example(self, number: int) -> tuple[int, int]:
        """Return the epoch and the index of the example with a number in the order of training."""
        epoch, position = divmod(number, len(self.source))
        return epoch, int(permutation(self.seed, epoch, len(self.source))[position])

    def _replace(
        self, image: np.ndarray, crops: TrainingCrops, epoch: int, index: int, error: CorruptImageError
    ) -> int:
        """Write the crop of another example than a corrupt one to `image`, and return its label."""
        for attempt in range(1, ATTEMPTS):
            _warn_once(f"{error} Another image takes its place.")
            index = substitute(self.seed, epoch, index, attempt, len(self.source))
            try:
                example = read_example(self.source, index)
                (uniforms,) = crop_uniforms(self.seed, [(epoch, index)]).tolist()
                crops.decode(example.encoded, example.name, uniforms, image)
            except CorruptImageError as another:
                error = another
            else:
                return example.label
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
