"""Where the checkpoints of a run are: on this machine, or at an address in a bucket."""

import contextlib
import functools
import itertools
import logging
import os
import tempfile
from collections.abc import Collection, Iterator

import fsspec
from etils import epath

from flax_googlenet.checkpoints.integrity import DIGESTS, ITEMS, copy_items
from flax_googlenet.errors import UserError
from flax_googlenet.paths import explaining_bucket_errors, is_remote, resolve_path

logger = logging.getLogger(__name__)

DIRECTORY = "checkpoints"
CORRUPT, INCOMPLETE = "corrupt", "incomplete"  # how the names of directories that were set aside begin

_REPLACED = "replaced-"  # begins the name of a checkpoint while its step is saved again
_PARTIAL = "partial"  # a file in a checkpoint of a bucket that is being uploaded or removed


@contextlib.contextmanager
def opened(path: str | os.PathLike, items: Collection[str] = ITEMS) -> Iterator[epath.Path]:
    """Yield the directory of a checkpoint on this machine.

    A checkpoint in a bucket is downloaded and verified first, and the copy is removed at the end.

    Args:
      path: a path or an address, as `find` takes it.
      items: the items to download. A local checkpoint has all of them.

    Raises:
      UserError: if there is no checkpoint or a downloaded file is corrupt.
    """
    checkpoint = find(path)
    if not is_remote(checkpoint):
        yield checkpoint
        return
    with tempfile.TemporaryDirectory(prefix="flax_googlenet-", ignore_cleanup_errors=True) as temporary:
        copy = epath.Path(temporary) / checkpoint.name
        with explaining_errors(checkpoint):
            copy_items(checkpoint, copy, items)
        yield copy


def find(path: str | os.PathLike) -> epath.Path:
    """Return the directory of a checkpoint.

    Args:
      path: a local path or an address of a checkpoint; or of a run's workdir, or of the directory
        `checkpoints` in it, for the last complete checkpoint.

    Raises:
      UserError: if there is no checkpoint.
    """
    root = resolve_path(path)
    with explaining_errors(root):
        if root.is_file():
            raise UserError(
                f"{path} is a file, not a checkpoint; import_weights makes a checkpoint of a file of weights."
            )
        for directory in (root, root / DIRECTORY):
            if is_complete(directory):
                return directory
            for checkpoint in reversed(numbered(directory)):
                if is_complete(checkpoint):
                    return checkpoint
                _warn_of_incomplete(checkpoint)
    raise UserError(f"There is no checkpoint in {path}; give a run's workdir, or WORKDIR/{DIRECTORY}/STEP.")


def find_latest(workdir: str | os.PathLike) -> epath.Path | None:
    """Return the directory of the last complete checkpoint of a run, or None."""
    root = resolve_path(workdir)
    with explaining_bucket_errors(root):
        steps = reversed(numbered(root / DIRECTORY))
        return next((checkpoint for checkpoint in steps if is_complete(checkpoint)), None)


def complete_checkpoints(directory: epath.Path) -> list[epath.Path]:
    """Return the complete checkpoints in the `checkpoints` of a run, in the order of their steps."""
    return [checkpoint for checkpoint in numbered(directory) if is_complete(checkpoint)]


def remove(checkpoint: epath.Path) -> None:
    """Remove a checkpoint, such that what a kill leaves of it is not taken for sound."""
    if is_remote(checkpoint) and checkpoint.exists():
        mark_partial(checkpoint)
    (checkpoint / DIGESTS).unlink(missing_ok=True)
    checkpoint.rmtree(missing_ok=True)


def mark_partial(checkpoint: epath.Path) -> None:
    """Mark a checkpoint of a bucket, which has its name from its first file to its last, as partial."""
    (checkpoint / _PARTIAL).write_bytes(b"")


def unmark_partial(checkpoint: epath.Path) -> None:
    """Undo `mark_partial`, when the checkpoint is complete."""
    (checkpoint / _PARTIAL).unlink(missing_ok=True)


def is_partial(checkpoint: epath.Path) -> bool:
    """Return whether an incomplete checkpoint is what a killed save or removal has left in a bucket.

    On this machine, such a directory has another name.
    """
    return is_remote(checkpoint) and (checkpoint / _PARTIAL).exists()


def set_aside_incomplete(directory: epath.Path) -> None:
    """Rename incomplete checkpoints, with a warning, or remove what a kill has left in a bucket.

    Orbax takes every numbered directory for a checkpoint, and saves no step below the highest one.

    Args:
      directory: the `checkpoints` of a run.
    """
    for incomplete in numbered(directory):
        if is_complete(incomplete):
            continue
        if is_partial(incomplete):
            remove(incomplete)
            result = "removed"
        else:
            result = f"renamed {rename_aside(incomplete, INCOMPLETE).name}"
        logger.warning(f"{incomplete} is not a complete checkpoint; it was {result}")


def set_aside_for_replacement(checkpoint: epath.Path) -> None:
    """Rename a complete checkpoint, so that its step can be saved again. `finish_replacements` removes it."""
    _rename(checkpoint, checkpoint.parent / f"{_REPLACED}{checkpoint.name}")


def finish_replacements(workdir: str | os.PathLike) -> None:
    """Remove the checkpoints that have been replaced.

    One whose replacement was not completed gets its name back.

    Args:
      workdir: the directory of a run.
    """
    directory = resolve_path(workdir) / DIRECTORY
    with explaining_bucket_errors(directory):
        for replaced in list(directory.glob(f"{_REPLACED}*")) if directory.is_dir() else ():
            checkpoint = directory / replaced.name.removeprefix(_REPLACED)
            if is_complete(checkpoint):
                replaced.rmtree()
            else:
                _rename(replaced, checkpoint)


def _rename(checkpoint: epath.Path, target: epath.Path) -> None:
    """Rename a checkpoint. In a bucket, copy it, so that one of the two is complete at any time."""
    if not is_remote(checkpoint):
        checkpoint.rename(target)
        return
    remove(target)
    system, root = fsspec.url_to_fs(os.fspath(checkpoint))
    names = {path.removeprefix(f"{root}/") for path in system.find(root)}
    for part in (names - {DIGESTS}, names & {DIGESTS}):  # the digests last
        # Lists, since fsspec takes a single path for a pattern.
        system.copy([f"{root}/{name}" for name in part], [os.fspath(target / name) for name in part])
    remove(checkpoint)


def rename_aside(checkpoint: epath.Path, kind: str) -> epath.Path:
    """Rename a checkpoint so that it no longer counts as one; in a bucket, its files are copied.

    Args:
      checkpoint: the directory of the checkpoint.
      kind: `CORRUPT` or `INCOMPLETE`.

    Returns:
      The new directory.
    """
    name = f"{kind}-{checkpoint.name}"
    names = itertools.chain([name], (f"{name}-{count}" for count in itertools.count(2)))
    aside = next(path for name in names if not (path := checkpoint.parent / name).exists())
    _rename(checkpoint, aside)
    return aside


def set_aside_earlier(directory: epath.Path) -> list[epath.Path]:
    """Return the directories that `rename_aside` has made in the `checkpoints` of a run."""
    entries = directory.iterdir() if directory.is_dir() else ()
    return sorted(entry for entry in entries if entry.name.split("-")[0] in (CORRUPT, INCOMPLETE))


def numbered(directory: epath.Path) -> list[epath.Path]:
    """Return the entries of a directory whose names are numbers, in numerical order."""
    entries = directory.iterdir() if directory.is_dir() else ()
    return sorted((entry for entry in entries if entry.name.isdecimal()), key=lambda entry: int(entry.name))


def is_complete(directory: epath.Path) -> bool:
    """Return whether a directory has all parts of a checkpoint. It may still be corrupt."""
    items = ["description", "weights"]
    if is_remote(directory):
        # A local checkpoint gets its name when it is complete. In a bucket it has the name from the start,
        # and the digests are written last.
        items.append(DIGESTS)
    return all((directory / item).exists() for item in items)


@functools.cache  # a run looks for the checkpoint that it starts from more than once
def _warn_of_incomplete(directory: epath.Path) -> None:
    logger.warning(f"{directory} is not a complete checkpoint and is ignored")


@contextlib.contextmanager
def explaining_errors(path: epath.Path) -> Iterator[None]:
    """Turn errors of a file system into a sentence for the user."""
    try:
        with explaining_bucket_errors(path):
            yield
    except OSError as error:
        raise UserError(f"Could not read {path}: {error.strerror}; make it readable.") from error
