"""Small tars in the form of ImageNet's two, to try its real builder on.

  python -m tests.support.imagenet_tars --out=TARS
  python -m tests.support.imagenet_tars --out=TARS --images=DIRECTORY --train=400 --val=100

Images are crops of those in DIRECTORY, whose names hold the id of their class (n01440764),
or of the two photographs that scikit-learn ships, for a few classes.
"""

import argparse
import io
import pathlib
import re
import tarfile
from collections.abc import Mapping, Sequence

import cv2
import numpy as np
import tensorflow_datasets as tfds

TRAIN_TAR, VAL_TAR = "ILSVRC2012_img_train.tar", "ILSVRC2012_img_val.tar"
A_FEW_CLASSES = ("n01440764", "n01751748", "n02105855", "n09193705")


def validation_classes() -> list[str]:
    """Class of ILSVRC2012_val_00000001.JPEG and those that follow, as TFDS's builder has them."""
    text = tfds.core.tfds_path("datasets/imagenet2012/validation_labels.txt").read_text()
    return text.split()


def write_tars(out: pathlib.Path, train: Mapping[str, Sequence[bytes]], val: Sequence[bytes]) -> None:
    """Write ILSVRC2012_img_train.tar, a tar of a tar a class, and ILSVRC2012_img_val.tar.

    Args:
      out: directory for them.
      train: encoded images by the id of their class.
      val: encoded images, from the first on.
    """
    out.mkdir(parents=True, exist_ok=True)
    classes = {}
    for wnid, images in train.items():
        buffer = io.BytesIO()
        with tarfile.open(fileobj=buffer, mode="w") as tar:
            for index, encoded in enumerate(images):
                _add(tar, f"{wnid}_{index}.JPEG", encoded)
        classes[f"{wnid}.tar"] = buffer.getvalue()
    named = {f"ILSVRC2012_val_{index:08}.JPEG": encoded for index, encoded in enumerate(val, 1)}
    for name, members in ((TRAIN_TAR, classes), (VAL_TAR, named)):
        with tarfile.open(out / name, "w") as tar:
            for member, encoded in members.items():
                _add(tar, member, encoded)


def _add(tar: tarfile.TarFile, name: str, content: bytes) -> None:
    info = tarfile.TarInfo(name)
    info.size = len(content)
    tar.addfile(info, io.BytesIO(content))


def photographs() -> list[np.ndarray]:
    """The two of scikit-learn, uint8 [427, 640, 3], red first."""
    from sklearn.datasets import load_sample_images

    return list(load_sample_images().images)


def crop(image: np.ndarray, draw: np.random.RandomState, least: float = 0.8) -> bytes:
    """A JPEG of a random crop with at least that share of each side."""
    height, width = (int(side * draw.uniform(least, 1)) for side in image.shape[:2])
    top, left = draw.randint(image.shape[0] - height + 1), draw.randint(image.shape[1] - width + 1)
    pixels = image[top : top + height, left : left + width, ::-1]
    return cv2.imencode(".jpg", pixels, [cv2.IMWRITE_JPEG_QUALITY, 90])[1].tobytes()


def _images_by_class(directory: pathlib.Path | None) -> dict[str, list[np.ndarray]]:
    if directory is None:
        return {wnid: [photographs()[index % 2]] for index, wnid in enumerate(A_FEW_CLASSES)}
    found: dict[str, list[np.ndarray]] = {}
    for path in sorted(directory.rglob("*")):
        match = re.search(r"n\d{8}", str(path.relative_to(directory)))
        if match and path.is_file():
            found.setdefault(match[0], []).append(cv2.imread(str(path), cv2.IMREAD_COLOR_RGB))
    return found


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--out", type=pathlib.Path, required=True)
    parser.add_argument("--images", type=pathlib.Path)
    parser.add_argument("--train", type=int, default=400)
    parser.add_argument("--val", type=int, default=100)
    options = parser.parse_args()
    images = _images_by_class(options.images)
    classes = sorted(images)
    draw = np.random.RandomState(0)

    def draw_from(wnid: str) -> bytes:
        return crop(images[wnid][draw.randint(len(images[wnid]))], draw)

    train: dict[str, list[bytes]] = {wnid: [] for wnid in classes}
    for index in range(options.train):
        wnid = classes[index % len(classes)]
        train[wnid].append(draw_from(wnid))
    val = [
        draw_from(wnid if wnid in images else classes[index % len(classes)])
        for index, wnid in enumerate(validation_classes()[: options.val])
    ]
    write_tars(options.out, train, val)


if __name__ == "__main__":
    main()
