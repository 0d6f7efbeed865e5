"""Images in one directory a class."""

import functools
import hashlib
import itertools
import os
import pathlib
import zlib

import numpy as np

from flax_googlenet.data.examples import Example
from flax_googlenet.data.sources.folder_index import index_folder
from flax_googlenet.errors import UserError
from flax_googlenet.workers import read_file


class ImageFolder:
    """Image files in one directory a class, below `path/train` and `path/val`, or below `path`.

    In the latter case `val_share` of each class, drawn by `split_seed`, is "val" and the
    rest "train": at least one image each. Which they are depends on the seed and on the
    names of the class and of its images.

    Classes are numbered in the order of their directories' names, as torchvision
    does; for ImageNet's synsets that is the usual order of the classes.
    """

    def __init__(self, path: str, split: str, *, val_share: float = 0.2, split_seed: int = 0) -> None:
        if not path:
            raise UserError(
                "config.data.path is empty; set it to a directory that holds train/CLASS/IMAGE and "
                "val/CLASS/IMAGE, or CLASS/IMAGE."
            )
        root = pathlib.Path(path).expanduser()
        is_split = any((root / each).is_dir() for each in ("train", "val"))
        parent = root / split if is_split else root
        index = index_folder(parent) if parent.is_dir() else None
        if not is_split and (index is None or not index.classes):
            raise UserError(
                f"There is no directory {root / split}, and none of a class in {root}; point "
                "config.data.path at one that holds train/CLASS/IMAGE and val/CLASS/IMAGE, or CLASS/IMAGE."
            )
        if index is None:
            raise UserError(
                f"There is no directory {parent}; point config.data.path at one that holds "
                "train/CLASS/IMAGE and val/CLASS/IMAGE."
            )
        if not index.classes:
            raise UserError(f"There are no class directories in {parent}; expected {parent}/CLASS/IMAGE.")
        self._index = index
        self.class_names = index.classes
        self._directories = [parent / name for name in index.classes]
        chosen = []
        for directory, (first, end) in zip(self._directories, itertools.pairwise(index.first), strict=True):
            if first == end:
                raise UserError(f"There are no images in {directory}; remove the directory or fill it.")
            images = np.arange(first, end)
            chosen.append(
                images if is_split else images[_split(directory, len(images), val_share, split_seed)[split]]
            )
        self._chosen = np.concatenate(chosen).astype(np.min_scalar_type(len(index)))

    @functools.cached_property
    def digest(self) -> str:
        """SHA-256 of the names of classes and images, and of which of them this split has."""
        digest = hashlib.sha256(self._index.digest)
        digest.update(self._chosen.astype("<u8").tobytes())
        return digest.hexdigest()

    def __len__(self) -> int:
        return len(self._chosen)

    def __getitem__(self, index: int) -> Example:
        label, name = self._index[int(self._chosen[index])]
        path = self._directories[label] / name
        return Example(read_file(path), label, str(path))


def _split(directory: pathlib.Path, count: int, val_share: float, seed: int) -> dict[str, np.ndarray]:
    """Deal out the images of one class, numbered in the order of their names."""
    if count < 2:
        raise UserError(
            f"There is only one image in {directory}, and both splits need one; "
            "add images or remove the directory."
        )
    # The class is part of the seed, so that the split does not change when one is added.
    draw = np.random.RandomState([seed, zlib.crc32(os.fsencode(directory.name))])
    held_out = min(max(round(val_share * count), 1), count - 1)
    order = draw.permutation(count)
    return {"val": np.sort(order[:held_out]), "train": np.sort(order[held_out:])}
