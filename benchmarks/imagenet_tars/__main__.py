"""Write small tars in the form of ImageNet's two, for its builder in TFDS.

  python -m benchmarks.imagenet_tars --out=TARS
  python -m benchmarks.imagenet_tars --out=TARS --images=DIR --train=400 --val=100

The images are random crops: of the images in DIR, whose paths contain the WordNet id of their class
(n01440764), or of the two photographs that scikit-learn ships, in four classes.
"""

import pathlib
import re
from collections.abc import Sequence
from typing import Any

import cv2
import numpy as np
from absl import flags

from benchmarks.imagenet_tars.tars import FOUR_CLASSES, random_crop, validation_classes, write_tars
from benchmarks.photographs import photographs
from flax_googlenet.errors import UserError
from flax_googlenet.paths import local_path
from launch.common import command

_OUT = flags.DEFINE_string("out", None, "Directory for the two tars.", required=True)
_IMAGES = flags.DEFINE_string("images", None, "Directory of images to crop.")
_TRAIN = flags.DEFINE_integer("train", 400, "Number of training images.", lower_bound=1)
_VAL = flags.DEFINE_integer("val", 100, "Number of validation images.", lower_bound=1, upper_bound=50_000)


def _images_by_class(directory: pathlib.Path) -> dict[str, list[np.ndarray]]:
    images: dict[str, list[np.ndarray]] = {}
    for path in sorted(directory.rglob("*")):
        wnid = re.search(r"n\d{8}", str(path.relative_to(directory)))
        if wnid and path.is_file():
            image = cv2.imread(str(path), cv2.IMREAD_COLOR_RGB)
            if image is None:
                raise UserError(f"{path} is not an image that can be decoded; remove it or replace it.")
            images.setdefault(wnid[0], []).append(image)
    if not images:
        raise UserError(f"No path in {directory} contains a WordNet id; choose other --images.")
    return images


def main(arguments: Sequence[str]) -> dict[str, Any]:
    command.refuse_arguments(arguments)
    if _IMAGES.value:
        images = _images_by_class(pathlib.Path(_IMAGES.value))
    else:
        images = {wnid: [photographs()[index % 2]] for index, wnid in enumerate(FOUR_CLASSES)}
    classes = sorted(images)
    random = np.random.RandomState(0)

    def draw(wnid: str) -> bytes:
        return random_crop(images[wnid][random.randint(len(images[wnid]))], random)

    train: dict[str, list[bytes]] = {wnid: [] for wnid in classes}
    for index in range(_TRAIN.value):
        wnid = classes[index % len(classes)]
        train[wnid].append(draw(wnid))
    val = [
        draw(wnid if wnid in images else classes[index % len(classes)])
        for index, wnid in enumerate(validation_classes()[: _VAL.value])
    ]
    write_tars(local_path(_OUT.value), train, val)
    return {"out": _OUT.value, "classes": len(classes), "train": _TRAIN.value, "val": _VAL.value}


if __name__ == "__main__":
    command.run(main)
