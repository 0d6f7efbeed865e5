"""Tars in the form of ImageNet's two, and random crops to fill them with."""

import io
import pathlib
import tarfile
from collections.abc import Mapping, Sequence

import cv2
import numpy as np

from flax_googlenet.data.sources.imagenet import TRAIN_TAR, VAL_TAR

FOUR_CLASSES = ("n01440764", "n01751748", "n02105855", "n09193705")


def validation_classes() -> list[str]:
    """Return the WordNet ids of ILSVRC2012_val_00000001.JPEG and its successors, from TFDS's builder."""
    import tensorflow_datasets as tfds

    text: str = tfds.core.tfds_path("datasets/imagenet2012/validation_labels.txt").read_text()
    return text.split()


def write_tars(out: pathlib.Path, train: Mapping[str, Sequence[bytes]], val: Sequence[bytes]) -> None:
    """Write ILSVRC2012_img_train.tar, which holds one tar per class, and ILSVRC2012_img_val.tar.

    Args:
      out: directory for the tars.
      train: encoded images by the WordNet id of their class.
      val: encoded images in the order of their numbers.
    """
    out.mkdir(parents=True, exist_ok=True)
    classes = {}
    for wnid, images in train.items():
        buffer = io.BytesIO()
        with tarfile.open(fileobj=buffer, mode="w") as tar:
            for index, encoded in enumerate(images):
                _add(tar, f"{wnid}_{index}.JPEG", encoded)
        classes[f"{wnid}.tar"] = buffer.getvalue()
    numbered = {f"ILSVRC2012_val_{number:08}.JPEG": encoded for number, encoded in enumerate(val, 1)}
    for name, members in ((TRAIN_TAR, classes), (VAL_TAR, numbered)):
        with tarfile.open(out / name, "w") as tar:
            for member, content in members.items():
                _add(tar, member, content)


def random_crop(image: np.ndarray, random: np.random.RandomState, least: float = 0.8) -> bytes:
    """Return a JPEG of a random crop.

    Args:
      image: uint8 [height, width, 3].
      random: draws the size and the position.
      least: smallest share of the image's height, and of its width.
    """
    height, width = (int(side * random.uniform(least, 1)) for side in image.shape[:2])
    top, left = random.randint(image.shape[0] - height + 1), random.randint(image.shape[1] - width + 1)
    pixels = image[top : top + height, left : left + width, ::-1]
    return cv2.imencode(".jpg", pixels, [cv2.IMWRITE_JPEG_QUALITY, 90])[1].tobytes()


def _add(tar: tarfile.TarFile, name: str, content: bytes) -> None:
    info = tarfile.TarInfo(name)
    info.size = len(content)
    tar.addfile(info, io.BytesIO(content))
