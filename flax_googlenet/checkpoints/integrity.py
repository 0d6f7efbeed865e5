"""Digests of a checkpoint's files, because Orbax stores arrays without a checksum."""

import hashlib
import json
import pathlib
import shutil
from collections.abc import Collection
from typing import TypeVar

from etils import epath

from flax_googlenet.errors import UserError

DIGESTS = "digests.json"
ITEMS = ("weights", "optimizer", "description")
EVALUATION_ITEMS = ("weights", "description")

Value = TypeVar("Value")

_COPIED_ITEMS = "copied_items.json"  # in a partial copy: the items that it holds


def write_digests(checkpoint: epath.Path) -> None:
    """Write the SHA-256 of every file of every item to `digests.json`."""
    digests = {name: sha256(path) for name, path in _files_of_items(checkpoint).items()}
    (checkpoint / DIGESTS).write_text(json.dumps(digests, indent=1, sort_keys=True))


def verify_digests(checkpoint: epath.Path) -> None:
    """Compare every file of a checkpoint, or of a copy by `copy_items`, with its digest.

    A file without a digest is refused as well, so that everything that is read has been verified.

    Raises:
      UserError: if a file is missing, changed or without a digest.
    """
    digests = _read_digests(checkpoint)
    items: Collection[str] = ITEMS
    if (checkpoint / _COPIED_ITEMS).exists():
        items = json.loads((checkpoint / _COPIED_ITEMS).read_text())
        digests = _of_items(digests, items)
    files = _files_of_items(checkpoint)
    for item in items:
        if not _of_items(files, [item]):
            raise _corrupt(checkpoint, checkpoint / item, "it is missing")
    for name in sorted(digests.keys() | files.keys()):
        path = checkpoint / name
        if name not in digests:
            raise _untrusted(checkpoint, f"has no digest of {path}")
        if name not in files or sha256(path) != digests[name]:
            raise _corrupt(checkpoint, path, "it is not the file that was saved")


def copy_items(checkpoint: epath.Path, copy: epath.Path, items: Collection[str]) -> None:
    """Copy some items of a checkpoint, reading each file once, and verify them.

    Args:
      checkpoint: the directory of the checkpoint.
      copy: the directory to make.
      items: some of `ITEMS`.

    Raises:
      UserError: if a file is missing or changed.
    """
    digests = _read_digests(checkpoint)
    copy.mkdir()
    (copy / DIGESTS).write_text(json.dumps(digests))
    (copy / _COPIED_ITEMS).write_text(json.dumps(list(items)))
    for item in items:
        names = _of_items(digests, [item])
        if not names:
            raise _untrusted(checkpoint, f"has no digest of {checkpoint / item}")
        for name in sorted(names):
            source, target = checkpoint / name, copy / name
            target.parent.mkdir(parents=True, exist_ok=True)
            try:
                with source.open("rb") as reader, target.open("wb") as writer:
                    shutil.copyfileobj(reader, writer, 1 << 20)
            except FileNotFoundError as error:
                raise _corrupt(checkpoint, source, "it is missing") from error
            if sha256(target) != digests[name]:
                raise _corrupt(checkpoint, source, "it is not the file that was saved")


def sha256(path: epath.PathLike) -> str:
    """Return the SHA-256 of a file as hexadecimal digits."""
    digest = hashlib.sha256()
    with epath.Path(path).open("rb") as file:
        while block := file.read(1 << 20):
            digest.update(block)
    return digest.hexdigest()


def _read_digests(checkpoint: epath.Path) -> dict[str, str]:
    try:
        digests = json.loads((checkpoint / DIGESTS).read_text())
    except (OSError, ValueError) as error:
        raise _untrusted(checkpoint, "cannot be read") from error
    if not isinstance(digests, dict):
        raise _untrusted(checkpoint, "is not a table of digests")
    for name in digests:
        path = pathlib.PurePosixPath(name)
        if path.is_absolute() or ".." in path.parts:
            raise _untrusted(checkpoint, f"names {name}, which is outside the checkpoint")
    return digests


def _of_items(files: dict[str, Value], items: Collection[str]) -> dict[str, Value]:
    """Return the entries for files in the directories of some items."""
    return {name: value for name, value in files.items() if name.split("/")[0] in items}


def _files_of_items(checkpoint: epath.Path) -> dict[str, epath.Path]:
    """Return the files in all directories of a checkpoint, by their relative path."""
    pending = [entry for entry in checkpoint.iterdir() if entry.is_dir()]
    files = {}
    while pending:
        for entry in pending.pop().iterdir():
            if entry.is_dir():
                pending.append(entry)
            else:
                files[str(entry.relative_to(checkpoint))] = entry
    return files


def _untrusted(checkpoint: epath.Path, reason: str) -> UserError:
    return UserError(
        f"{checkpoint / DIGESTS} {reason}, so the checkpoint cannot be trusted; use another one, or delete "
        f"{checkpoint} to resume from the one before."
    )


def _corrupt(checkpoint: epath.Path, path: epath.Path, reason: str) -> UserError:
    return UserError(
        f"{path} is corrupt: {reason}; use another checkpoint, or delete {checkpoint} to resume from the "
        "one before."
    )
