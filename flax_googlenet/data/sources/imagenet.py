"""ILSVRC 2012: its 1,000 classes, in the order in which networks number them, and its two tars."""

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
    """WordNet id -> name, sorted by id.

    >>> list(imagenet_classes().items())[0]
    ('n01440764', 'tench')
    """
    text = (importlib.resources.files(__package__) / "imagenet_classes.txt").read_text(encoding="utf-8")
    return dict(line.split(" ", 1) for line in text.splitlines())


def missing_from_validation(class_names: Sequence[str], count: int) -> int:
    """How many images a validation split lacks, if its classes are ImageNet's; otherwise 0.

    >>> missing_from_validation(list(imagenet_classes()), 49_999), missing_from_validation(["cat"], 3)
    (1, 0)
    """
    return SPLIT_SIZES["validation"] - count if tuple(class_names) == tuple(imagenet_classes()) else 0


def check_tars(directory: Any) -> None:
    """Refuse tars from which TFDS would make half an ImageNet, or one with wrong labels.

    It leaves out a split whose tar is missing, and numbers the validation images that
    there are, so that one that is missing shifts the labels of those after it.

    Args:
      directory: where they are, as an `epath.Path`.

    Raises:
      UserError: a tar, or an image of the validation tar before another, is missing.
    """
    for name in (TRAIN_TAR, VAL_TAR):
        if not (directory / name).exists():
            raise UserError(
                f"There is no file {directory / name}; get it from image-net.org, and point manual_dir at "
                "where it is."
            )
    try:
        with (directory / VAL_TAR).open("rb") as file, tarfile.open(fileobj=file) as tar:
            names = sorted(tar.getnames())
    except tarfile.TarError as error:
        raise UserError(f"{directory / VAL_TAR} is damaged: {error}; download it again.") from error
    for number, name in enumerate(names, 1):
        expected = f"ILSVRC2012_val_{number:08}.JPEG"
        if name != expected:
            raise UserError(
                f"{directory / VAL_TAR} has {name} in the place of {expected}, so that the labels would be "
                "wrong; download it again."
            )
