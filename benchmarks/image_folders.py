"""Image folders to measure with: ten classes of JPEG files, and smaller copies of them."""

import pathlib

from benchmarks.photographs import jpeg
from flax_googlenet.data.preparation.shrinking import shrink
from flax_googlenet.errors import UserError

CLASSES = 10


def make_folder(folder: pathlib.Path, images: str | None) -> list[pathlib.Path]:
    """Fill the directory "train" of an image folder and return its files.

    Args:
      folder: the image folder.
      images: a directory of JPEG files at any depth, which are linked; None for 128 files of 500x375 pixels
        that are cut from two photographs.

    Raises:
      UserError: if there are no JPEG files in `images`.
    """
    if images is None:
        files = [_place(folder, index) for index in range(128)]
        for index, file in enumerate(files):
            file.write_bytes(jpeg(index))
        return files
    root = pathlib.Path(images).expanduser().absolute()
    originals = sorted(file for file in root.rglob("*") if file.suffix.lower() in (".jpg", ".jpeg"))
    if not originals:
        raise UserError(f"There are no JPEG files in {root}; point --images at a directory with some.")
    files = [_place(folder, index) for index in range(len(originals))]
    for file, original in zip(files, originals, strict=True):
        file.symlink_to(original)
    return files


def shrink_folder(folder: pathlib.Path, shorter_side: int = 256) -> pathlib.Path:
    """Return a copy of an image folder, made inside it, as `launch.prepare --shorter_side` makes them."""
    small = folder / "small"
    for file in folder.glob("train/*/*"):
        copy = small / file.relative_to(folder)
        copy.parent.mkdir(parents=True, exist_ok=True)
        copy.write_bytes(shrink(file.read_bytes(), shorter_side))
    return small


def _place(folder: pathlib.Path, index: int) -> pathlib.Path:
    file = folder / "train" / f"class_{index % CLASSES}" / f"{index}.jpg"
    file.parent.mkdir(parents=True, exist_ok=True)
    return file
