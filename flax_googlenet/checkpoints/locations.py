"""Where checkpoints are: in a workdir, on this machine or at an address that fsspec knows."""

import contextlib
import itertools
import logging
import pathlib
import tempfile
from collections.abc import Iterator

import fsspec
from etils import epath

from flax_googlenet.errors import UserError

logger = logging.getLogger(__name__)


DIRECTORY = "checkpoints"


@contextlib.contextmanager
def opened(path: str) -> Iterator[epath.Path]:
    """Yield the directory of the checkpoint that a path means, on this machine.

    Args:
      path: as for `find`; or `gs://` and the other addresses that fsspec knows, of which
        a copy is made and removed in the end.

    Raises:
      UserError: there is no checkpoint.
    """
    if "://" not in path:
        yield find(path)
        return
    with tempfile.TemporaryDirectory(prefix="flax_googlenet-", ignore_cleanup_errors=True) as temporary:
        try:
            files, root = fsspec.core.url_to_fs(path)
            checkpoint = _locate(files, root)
            if checkpoint is None:
                raise _missing(path)
            local = pathlib.Path(temporary) / checkpoint.rsplit("/", 1)[-1]
            files.get(checkpoint, str(local), recursive=True)
        except (ImportError, OSError, ValueError) as error:
            raise UserError(f"Could not read {path}: {error}; gs:// needs the package gcsfs.") from error
        yield epath.Path(local)


def find(path: str) -> epath.Path:
    """Return the directory of the checkpoint that a local path means.

    Args:
      path: a checkpoint; or a run's workdir, or the `checkpoints` in it, for its last
        complete one.

    Raises:
      UserError: there is no checkpoint.
    """
    if pathlib.Path(_expanded(path)).is_file():
        raise UserError(
            f"{path} is a file, not a checkpoint; import_weights makes a checkpoint of a file of weights."
        )
    try:
        checkpoint = _locate(fsspec.filesystem("file"), _expanded(path))
    except OSError as error:
        raise UserError(f"Could not read {path}: {error.strerror}; make it readable.") from error
    if checkpoint is None:
        raise _missing(path)
    return epath.Path(checkpoint)


def find_latest(workdir: str) -> epath.Path | None:
    """Return the directory of the last complete checkpoint of a run, if there is one."""
    located = _locate(fsspec.filesystem("file"), f"{_expanded(workdir)}/{DIRECTORY}")
    return epath.Path(located) if located else None


def set_aside_incomplete(directory: epath.Path) -> None:
    """Rename what has a checkpoint's name in a run's directory of checkpoints and is none, and say so.

    Orbax takes every directory with a number for a checkpoint, and writes none below the highest.
    """
    if not directory.exists():
        return
    for step in sorted(int(entry.name) for entry in directory.iterdir() if entry.name.isdigit()):
        incomplete = directory / str(step)
        if not _is_complete(fsspec.filesystem("file"), str(incomplete)):
            names = itertools.chain(
                [f"incomplete-{step}"], (f"incomplete-{step}-{n}" for n in itertools.count(2))
            )
            aside = next(path for name in names if not (path := directory / name).exists())
            incomplete.rename(aside)
            logger.warning(f"{incomplete} is not a complete checkpoint; it was renamed {aside.name}")


def _expanded(path: str) -> str:
    return str(pathlib.Path(path).expanduser().absolute())  # Orbax takes no other paths


def _missing(path: str) -> UserError:
    return UserError(f"There is no checkpoint in {path}; give a run's workdir, or WORKDIR/{DIRECTORY}/STEP.")


def _locate(files: fsspec.AbstractFileSystem, root: str) -> str | None:
    for directory in (root, f"{root}/{DIRECTORY}"):
        if _is_complete(files, directory):
            return directory.rstrip("/")
        if files.isdir(directory):
            names = [entry.rstrip("/").rsplit("/", 1)[-1] for entry in files.ls(directory, detail=False)]
            for step in sorted((name for name in names if name.isdigit()), key=int, reverse=True):
                if _is_complete(files, f"{directory}/{step}"):
                    return f"{directory}/{step}"
                logger.warning(f"{directory}/{step} is not a complete checkpoint and is ignored")
    return None


def _is_complete(files: fsspec.AbstractFileSystem, directory: str) -> bool:
    return all(files.exists(f"{directory}/{item}") for item in ("description", "weights"))
