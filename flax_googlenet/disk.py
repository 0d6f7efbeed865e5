"""Errors of a disk that fills up, or goes away, while a run writes to it."""

import contextlib
import errno
import functools
import logging
import os
import re
import shutil
from collections.abc import Iterator

from flax_googlenet.errors import UserError

logger = logging.getLogger(__name__)

_FULL = frozenset({errno.ENOSPC, errno.EDQUOT})


@contextlib.contextmanager
def writing(path: str | os.PathLike, on_full_disk: str = "stop") -> Iterator[None]:
    """Turn the error of a write into a sentence.

    Args:
      path: what is written.
      on_full_disk: "continue", to warn of a full disk once instead.

    Raises:
      UserError: if the write fails.
    """
    try:
        yield
    except OSError as error:
        if is_full(error) and on_full_disk == "continue":
            _warn_of_full_disk(os.fspath(path))
            return
        sentence = write_error(error, path)
        if sentence is None:
            raise
        raise sentence from error


def is_full(error: BaseException) -> bool:
    """Return whether a write failed because the disk, or the user's share of it, is full.

    >>> is_full(OSError(errno.ENOSPC, "No space left on device"))
    True
    >>> is_full(ValueError("RESOURCE_EXHAUSTED: Failed to write [os_error_code='28']"))
    True
    >>> is_full(OSError(errno.EROFS, "Read-only file system"))
    False
    """
    return error_number(error) in _FULL


def error_number(error: BaseException) -> int | None:
    """Return the `errno` of a failed write, or None if the error is of another kind.

    TensorStore, which writes the arrays of a checkpoint, raises ValueErrors with the number in their text. It
    has none for a file that it has written and does not find again.

    >>> error_number(ValueError('NOT_FOUND: Error opening "zarr" driver')) == errno.ENOENT
    True
    >>> error_number(ValueError("not about files")) is None
    True
    """
    if isinstance(error, OSError):
        return error.errno
    if str(error).startswith("NOT_FOUND:"):
        return errno.ENOENT
    match = re.search(r"\[os_error_code='(\d+)'\]", str(error))
    return int(match[1]) if match else None


def write_error(error: BaseException, path: str | os.PathLike, needed: int | None = None) -> UserError | None:
    """Return the sentence for a failed write, or None if the error is of another kind.

    Args:
      error: the error.
      path: the directory or file that was written.
      needed: the size of what was to be written, in bytes, if that is known.
    """
    number = error_number(error)
    if number is None:
        return None
    if number in _FULL:
        return UserError(f"{lack_of_space(path, needed)}; make room and start again.")
    if number == errno.ENOENT:
        return UserError(
            f"{path} was deleted or moved while this run wrote to it; start the run again in a directory "
            "that stays."
        )
    return UserError(f"Cannot write to {path}: {os.strerror(number)}; make it writable and start again.")


def lack_of_space(path: str | os.PathLike, needed: int | None = None) -> str:
    """Return a clause that says how much space is needed and free on a full disk.

    Args:
      path, needed: as for `write_error`.
    """
    figures = [] if needed is None else [f"{megabytes(needed)} are needed"]
    free = _free(path)
    figures += [] if free is None else [f"{megabytes(free)} are free"]
    return f"Cannot write to {path}, because its disk is full" + (
        f": {' and '.join(figures)}" if figures else ""
    )


def require_space(path: str | os.PathLike, needed: int) -> None:
    """Check that a disk has room before much is written to it.

    Args:
      path: the directory that will be written to.
      needed: the number of bytes.

    Raises:
      OSError: as a write would, if the disk has less room. A user's share of it may still be full.
    """
    free = _free(path)
    if free is not None and free < needed:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), os.fspath(path))


def megabytes(size: int) -> str:
    """Format a number of bytes.

    >>> megabytes(123_456_789)
    '123.5 MB'
    """
    return f"{size / 1e6:.1f} MB"


@functools.cache
def _warn_of_full_disk(path: str) -> None:
    logger.warning(f"{lack_of_space(path)}; training continues")


def _free(path: str | os.PathLike) -> int | None:
    try:
        return shutil.disk_usage(path).free
    except OSError:  # the path is gone or an address
        return None
