"""ILSVRC 2012: its 1,000 classes, in the usual order of their labels, and its two tars."""

import functools
import importlib.resources
import tarfile
from collections.abc import Sequence
from typing import Any

from flax_googlenet.errors import UserError

TRAIN_TAR, VAL_TAR = "ILSVRC2012_img_train.tar", "ILSVRC2012_img_val.tar"
SPLIT_SIZES = {"train": 1_281_167, "validation": 50_000}


@functools.cache
def imagenet_classes() -> dict[str, str]:
    """Return the name of each class by its WordNet id, sorted by id.

    >>> list(imagenet_classes().items())[0]
    ('n01440764', 'tench')
    """
    text = (importlib.resources.files(__package__) / "imagenet_classes.txt").read_text(encoding="utf-8")
    return dict(line.split(" ", 1) for line in text.splitlines())


def missing_from_validation(class_names: Sequence[str], count: int) -> int:
    """Return the number of missing images of an ImageNet validation split; 0 for other class names.

    >>> missing_from_validation(list(imagenet_classes()), 49_999), missing_from_validation(["cat"], 3)
    (1, 0)
    """
    return SPLIT_SIZES["validation"] - count if tuple(class_names) == tuple(imagenet_classes()) else 0


def check_tars(directory: Any) -> None:
    """Check that TFDS can build a complete ImageNet with correct labels from the tars in a directory.

    TFDS silently leaves out a split whose tar is missing. It labels validation images by position,
    so a missing image shifts the labels of all images after it.

    Args:
      directory: the directory of the tars, an `epath.Path`.

    Raises:
      UserError: if a tar is missing or corrupt, or the validation tar lacks an image.
    """
    for name in (TRAIN_TAR, VAL_TAR):
        if not (directory / name).exists():
            raise UserError(
                f"There is no file {directory / name}; get it from image-net.org, and point manual_dir at "
                "its directory."
            )
    try:
        with (directory / VAL_TAR).open("rb") as file, tarfile.open(fileobj=file) as tar:
            names = sorted(tar.getnames())
    except tarfile.TarError as error:
        raise UserError(f"{directory / VAL_TAR} is corrupt: {error}; download it again.") from error
    for number, name in enumerate(names, 1):
        expected = f"ILSVRC2012_val_{number:08}.JPEG"
        if name != expected:
            raise UserError(
                f"{directory / VAL_TAR} has {name} in the place of {expected}, so that the labels would be "
                "wrong; download it again."
            )
