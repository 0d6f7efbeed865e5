"""Image folders: directories of image files, one directory per class."""

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
    """Image files in one directory per class, below `path/train` and `path/val`, or below `path`.

    Without split directories, a share of each class is drawn for "val" and the rest is "train".
    Both get at least one image. The draw depends only on the seed and on the names of the class and
    its images.

    Classes are numbered by the sorted names of their directories, as in torchvision. For ImageNet's
    synsets this is the usual order.
    """

    def __init__(self, path: str, split: str, *, val_share: float = 0.2, split_seed: int = 0) -> None:
        """List the images of a split.

        Args:
          path: the root of the image folder.
          split: "train" or "val".
          val_share: the share of each class that is drawn for "val".
          split_seed: the seed of the draw.

        Raises:
          UserError: if the folder has another layout, or a class has no images.
        """
        if not path:
            raise UserError(
                "config.data.path is empty; set it to a directory that holds train/CLASS/IMAGE and "
                "val/CLASS/IMAGE, or CLASS/IMAGE."
            )
        root = pathlib.Path(path).expanduser()
        has_splits = any((root / name).is_dir() for name in ("train", "val"))
        parent = root / split if has_splits else root
        index = index_folder(parent) if parent.is_dir() else None
        if not has_splits and (index is None or not index.classes):
            raise UserError(
                f"There is no directory {root / split}, nor any class directory in {root}; set "
                "config.data.path to a directory that holds train/CLASS/IMAGE and val/CLASS/IMAGE, or "
                "CLASS/IMAGE."
            )
        if index is None:
            raise UserError(
                f"There is no directory {parent}; set config.data.path to a directory that holds "
                "train/CLASS/IMAGE and val/CLASS/IMAGE."
            )
        if not index.classes:
            raise UserError(f"There are no class directories in {parent}; expected {parent}/CLASS/IMAGE.")
        self._index = index
        self.class_names = index.classes
        directories = [parent / name for name in index.classes]
        self._prefixes = [f"{directory}{os.sep}" for directory in directories]
        chosen = []
        for directory, (first, end) in zip(directories, itertools.pairwise(index.first), strict=True):
            if first == end:
                raise UserError(f"There are no images in {directory}; remove the directory or fill it.")
            images = np.arange(first, end)
            if not has_splits:
                images = images[_draw_splits(directory, len(images), val_share, split_seed)[split]]
            chosen.append(images)
        self._chosen = np.concatenate(chosen).astype(np.min_scalar_type(len(index)))

    @functools.cached_property
    def digest(self) -> str:
        """SHA-256 of the names of all classes and images, and of the choice of images in this split."""
        digest = hashlib.sha256(self._index.digest)
        digest.update(self._chosen.astype("<u8").tobytes())
        return digest.hexdigest()

    def __len__(self) -> int:
        return len(self._chosen)

    def __getitem__(self, index: int) -> Example:
        label, name = self._index[int(self._chosen[index])]
        path = self._prefixes[label] + name  # pathlib takes ten times as long
        return Example(read_file(path), label, path)


def _draw_splits(directory: pathlib.Path, count: int, val_share: float, seed: int) -> dict[str, np.ndarray]:
    """Divide the images of a class, numbered in the order of their names, into "train" and "val"."""
    if count < 2:
        raise UserError(
            f"There is only one image in {directory}, and both splits need one; "
            "add images or remove the directory."
        )
    # The seed includes the class, so that adding a class does not change the draws of the others.
    random = np.random.RandomState([seed, zlib.crc32(os.fsencode(directory.name))])
    held_out = min(max(round(val_share * count), 1), count - 1)
    order = random.permutation(count)
    return {"val": np.sort(order[:held_out]), "train": np.sort(order[held_out:])}
