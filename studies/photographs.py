"""The photographs of a study: some classes of an image folder, as an image folder of their own."""

import pathlib

from flax_googlenet.data.sources.folder_index import index_folder
from flax_googlenet.errors import UserError
from flax_googlenet.paths import local_path

SPLITS = ("train", "val")


def link_classes(data: str, count: int, folder: pathlib.Path) -> pathlib.Path:
    """Make an image folder of links to the classes with the most images.

    Of classes with as many images, those whose names sort first are chosen. If the folder has train/ and
    val/, images for training are counted, and the links are in both. The library holds out a part of each
    class otherwise, which depends only on the names of the class and its images.

    Args:
      data: path of the image folder.
      count: number of classes.
      folder: directory to make. Links of an earlier call are replaced.

    Returns:
      The directory.

    Raises:
      UserError: if there is no image folder, or it has fewer classes.
    """
    root = local_path(data).absolute()
    splits = [name for name in SPLITS if (root / name).is_dir()]
    if splits == ["val"]:
        raise UserError(f"{root} has val/ but no train/; add it, or give --data the classes without splits.")
    parent = root / splits[0] if splits else root
    if not parent.is_dir():
        raise UserError(f"There is no directory {parent}; point --data at one with a directory per class.")
    index = index_folder(parent)
    sizes = {
        name: end - first
        for name, first, end in zip(index.classes, index.first, index.first[1:], strict=False)
    }
    names = sorted((name for name in sizes if sizes[name]), key=lambda name: (-sizes[name], name))
    if len(names) < count:
        raise UserError(f"{parent} has {len(names)} classes with images, fewer than --classes={count}.")
    for old in folder.glob("**/*") if folder.is_dir() else ():
        if old.is_symlink():
            old.unlink()
    for split in splits or [""]:
        (folder / split).mkdir(parents=True, exist_ok=True)
        for name in names[:count]:
            (folder / split / name).symlink_to(root / split / name, target_is_directory=True)
    return folder
