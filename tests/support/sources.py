"""Sources of examples in memory, and of data sets in TFDS's format."""

import cv2
import numpy as np

from flax_googlenet.config import resolve
from flax_googlenet.data import Example, Source, open_source
from flax_googlenet.data.sources.tfds import TfdsSource, find_builder


def image(value: int, height: int = 8, width: int = 12, suffix: str = ".png") -> bytes:
    """Return an encoded image of one gray level."""
    return cv2.imencode(suffix, np.full((height, width, 3), value, np.uint8))[1].tobytes()


class Listed:
    """A source of given pairs (encoded image, or exception to raise, and label)."""

    def __init__(self, *examples, class_names=("cat", "dog"), prefix="x"):
        self.class_names = class_names
        self._examples, self._prefix = examples, prefix

    def __len__(self):
        return len(self._examples)

    def __getitem__(self, index):
        encoded, label = self._examples[index]
        if isinstance(encoded, Exception):
            raise encoded
        return Example(encoded, label, f"{self._prefix}{index}")


def open_tfds(path, split: str = "train", dataset: str = "imagenet2012", **options) -> Source:
    """Open a split of a data set in a `data_dir`."""
    data = {"source": "tfds", "dataset": dataset, "path": str(path), **options}
    return open_source(resolve({"data": data}).data, split)


def records(path, dataset: str = "imagenet2012") -> list[tuple[bytes, int, str]]:
    """Return all examples of a data set; their names come without the version and config in front."""
    builder = find_builder(dataset, str(path))
    sources = [TfdsSource(builder, split) for split in builder.info.splits]
    examples = [source[index] for source in sources for index in range(len(source))]
    return [(example.encoded, example.label, example.name.split(maxsplit=1)[1]) for example in examples]
