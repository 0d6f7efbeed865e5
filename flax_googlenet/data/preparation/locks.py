"""Locks that keep two processes from preparing the same data set."""

import contextlib
import fcntl
from collections.abc import Generator
from typing import Any

from flax_googlenet.errors import UserError


@contextlib.contextmanager
def lock_directory(directory: Any) -> Generator[None, None, None]:
    """Hold a lock on a local directory; directories on object stores are not locked.

    The operating system releases the lock when the process ends, even if it is killed.

    Args:
      directory: an `epath.Path`, created if it does not exist.

    Raises:
      UserError: if the directory is not writable, or another process holds the lock.
    """
    if "://" in str(directory):
        yield
        return
    try:
        directory.mkdir(parents=True, exist_ok=True)
        file = (directory / ".lock").open("w")
    except OSError as error:
        raise UserError(
            f"{directory} cannot be written to: {error.strerror}; choose another data_dir."
        ) from error
    with file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            raise UserError(
                f"Another process is preparing data in {directory}; wait until it has ended."
            ) from error
        yield
