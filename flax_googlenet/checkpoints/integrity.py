"""Digests of a checkpoint's files, because Orbax stores arrays without a checksum."""

import contextlib
import errno
import hashlib
import json
import pathlib
import shutil
from collections.abc import Collection, Iterator
from typing import TypeVar

from etils import epath

from flax_googlenet.errors import UserError
from flax_googlenet.paths import is_remote

DIGESTS = "digests.json"
ITEMS = ("weights", "optimizer", "description")
EVALUATION_ITEMS = ("weights", "description")

Value = TypeVar("Value")

_MISSING, _CHANGED = "it is missing", "it is not the file that was saved"
_COPIED_ITEMS = "copied_items.json"  # in a partial copy: the items that it holds


class CorruptCheckpointError(UserError):
    """A checkpoint that is not as it was saved.

    Attributes:
      reason: what is corrupt, as a clause that names the file.
    """

    def __init__(self, checkpoint: epath.Path, reason: str) -> None:
        """Make the error, whose message names the checkpoint before this one.

        Args:
          checkpoint: the directory of the checkpoint.
          reason: what is corrupt, as a clause that names the file.
        """
        self.reason = reason
        before = _step_before(checkpoint)
        way_out = "use another checkpoint" if before is None else f"use the checkpoint before it, {before}"
        super().__init__(f"{reason}; {way_out}.")


def write_digests(checkpoint: epath.Path) -> None:
    """Write the SHA-256 of every file of every item to `digests.json`."""
    digests = {name: sha256(path) for name, path in _files_of_items(checkpoint).items()}
    (checkpoint / DIGESTS).write_text(_to_json(digests))


def verify_digests(checkpoint: epath.Path, items: Collection[str] = ()) -> None:
    """Compare every file of a checkpoint, or of a copy by `copy_items`, with its digest.

    A file without a digest is refused as well, so that everything that is read has been verified.

    Args:
      checkpoint: the directory of the checkpoint.
      items: the items to verify, which may be missing if they have no digests; () for all.

    Raises:
      CorruptCheckpointError: if a file is missing, changed or without a digest.
    """
    digests = all_digests = _read_digests(checkpoint)
    required: Collection[str] = () if items else ITEMS
    if not items and (checkpoint / _COPIED_ITEMS).exists():
        required = items = json.loads((checkpoint / _COPIED_ITEMS).read_text())
    files = _files_of_items(checkpoint)
    if items:
        digests, files = _of_items(digests, items), _of_items(files, items)
    for item in required:
        if not _of_items(files, [item]):
            raise _corrupt(checkpoint, checkpoint / item, _MISSING)
    for name in sorted(digests.keys() | files.keys()):
        path = checkpoint / name
        if name not in digests:
            raise _untrusted(checkpoint, f"has no digest of {path}")
        if name not in files:
            raise _corrupt(checkpoint, path, _MISSING)
        with _reading(checkpoint, path):
            is_same = sha256(path) == digests[name]
        if not is_same:
            raise _corrupt(checkpoint, path, _CHANGED)
    is_same = (checkpoint / DIGESTS).read_text() == _to_json(all_digests)
    if not is_same:  # JSON does not notice changed white space
        raise _corrupt(checkpoint, checkpoint / DIGESTS, _CHANGED)


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
    (copy / DIGESTS).write_text(_to_json(digests))
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
                raise _corrupt(checkpoint, source, _MISSING) from error
            if sha256(target) != digests[name]:
                raise _corrupt(checkpoint, source, _CHANGED)


def files_of(directory: epath.Path) -> dict[str, epath.Path]:
    """Return all files below a directory, by their relative path."""
    pending = [directory]
    files = {}
    while pending:
        for entry in pending.pop().iterdir():
            if entry.is_dir():
                pending.append(entry)
            else:
                files[str(entry.relative_to(directory))] = entry
    return files


def sha256(path: epath.PathLike) -> str:
    """Return the SHA-256 of a file as hexadecimal digits."""
    digest = hashlib.sha256()
    with epath.Path(path).open("rb") as file:
        while block := file.read(1 << 20):
            digest.update(block)
    return digest.hexdigest()


def _read_digests(checkpoint: epath.Path) -> dict[str, str]:
    try:
        with _reading(checkpoint, checkpoint / DIGESTS):
            digests = json.loads((checkpoint / DIGESTS).read_text())
    except ValueError as error:
        raise _untrusted(checkpoint, "cannot be read") from error
    if not isinstance(digests, dict):
        raise _untrusted(checkpoint, "is not a table of digests")
    for name in digests:
        path = pathlib.PurePosixPath(name)
        if path.is_absolute() or ".." in path.parts:
            raise _untrusted(checkpoint, f"names {name}, which is outside the checkpoint")
    return digests


def _to_json(digests: dict[str, str]) -> str:
    return json.dumps(digests, indent=1, sort_keys=True)


def _of_items(files: dict[str, Value], items: Collection[str]) -> dict[str, Value]:
    """Return the entries for files in the directories of some items."""
    return {name: value for name, value in files.items() if name.split("/")[0] in items}


def _files_of_items(checkpoint: epath.Path) -> dict[str, epath.Path]:
    """Return the files in all directories of a checkpoint, by their relative path."""
    return {name: path for name, path in files_of(checkpoint).items() if "/" in name}


@contextlib.contextmanager
def _reading(checkpoint: epath.Path, path: epath.Path) -> Iterator[None]:
    """Tell a file that is lost from one that cannot be read now."""
    try:
        yield
    except (FileNotFoundError, IsADirectoryError, NotADirectoryError) as error:
        raise _corrupt(checkpoint, path, _MISSING) from error
    except OSError as error:
        if error.errno == errno.EIO and not is_remote(path):  # in a bucket, any failure of the network
            raise _corrupt(checkpoint, path, "the disk cannot read it") from error
        raise UserError(f"Could not read {path}: {error.strerror or error}; make it readable.") from error


def _step_before(checkpoint: epath.Path) -> epath.Path | None:
    """Return the directory of the checkpoint before this one in the same run, or None."""
    if not checkpoint.name.isdecimal():
        return None
    steps = (int(entry.name) for entry in checkpoint.parent.iterdir() if entry.name.isdecimal())
    before = max((step for step in steps if step < int(checkpoint.name)), default=None)
    return None if before is None else checkpoint.parent / str(before)


def _untrusted(checkpoint: epath.Path, reason: str) -> CorruptCheckpointError:
    return CorruptCheckpointError(
        checkpoint, f"{checkpoint / DIGESTS} {reason}, so the checkpoint cannot be trusted"
    )


def _corrupt(checkpoint: epath.Path, path: epath.Path, reason: str) -> CorruptCheckpointError:
    return CorruptCheckpointError(checkpoint, f"{path} is corrupt: {reason}")
