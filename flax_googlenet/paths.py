"""Paths on this machine and in buckets, as `etils.epath.Path`, which Orbax takes too.

`epath.Path` has the methods of `pathlib.Path` and reaches gs:// and s3:// through fsspec.
"""

import contextlib
import hashlib
import os
import pathlib
import shutil
import tempfile
import uuid
from collections.abc import Iterator

import fsspec
from etils import epath

from flax_googlenet.errors import UserError

SCHEMES = ("gs://", "s3://", "az://", "hf://")  # known to epath

_PATTERN = {"*", "?", "["}  # fsspec copies and removes whatever an address with one of them matches

# If TensorFlow is installed, epath imports it to open an address, which takes seconds and claims GPU memory.
# It reads this variable when it opens the first address.
os.environ.setdefault("EPATH_USE_TF", "false")

# A cached listing would hide checkpoints that another process has saved in the meantime.
for _name in ("gs", "gcs", "s3", "az", "hf"):
    fsspec.config.conf.setdefault(_name, {}).setdefault("use_listings_cache", False)


def user_path(path: str | os.PathLike) -> epath.Path:
    """Return a path or an address that a user wrote.

    Args:
      path: a local path, in which `~` is expanded, or an address.

    Raises:
      UserError: if no file system is known for the address.
    """
    text = os.fspath(path)
    if "://" in text and not text.startswith(SCHEMES):
        raise UserError(f"{text} has an unknown scheme; use a local path or one of {', '.join(SCHEMES)}.")
    return epath.Path(text) if is_remote(text) else epath.Path(text).expanduser()


def resolve_path(path: str | os.PathLike) -> epath.Path:
    """Return a user's path as an absolute one.

    Args:
      path: a local path, in which `~` is expanded, or an address, which is returned unchanged.

    Raises:
      UserError: if no file system is known for the address, or it has a character of patterns.

    >>> resolve_path("gs://bucket/run") / "checkpoints"
    PosixGPath('gs://bucket/run/checkpoints')
    >>> resolve_path("/tmp/run")
    PosixGPath('/tmp/run')
    """
    chosen = user_path(path)
    if not is_remote(chosen):
        return chosen.absolute()
    if found := sorted(_PATTERN & set(os.fspath(chosen))):
        raise UserError(f"{chosen} has a {found[0]}, as patterns have; choose an address without it.")
    return chosen


def is_remote(path: str | os.PathLike) -> bool:
    """Return whether a path is an address in a bucket.

    A bucket has no empty directories and renames none atomically, and no file in it can be appended to.
    """
    return os.fspath(path).startswith(SCHEMES)


def make_directory(path: epath.Path) -> None:
    """Make a directory and its parents, except in a bucket, where directories are only parts of names.

    The file systems of buckets would make a missing bucket.
    """
    if not is_remote(path):
        path.mkdir(parents=True, exist_ok=True)


def replace_file(path: epath.Path, content: bytes) -> None:
    """Write a file that is either the old or the new one, whenever the process ends.

    Args:
      path: the file, in a directory that exists or in a bucket, where a file appears when it is complete.
      content: its new content.

    Raises:
      OSError: if it cannot be written.
    """
    if is_remote(path):
        path.write_bytes(content)
        return
    partial = path.with_name(f".partial-{path.name}")
    try:
        partial.write_bytes(content)
        partial.replace(path)
    finally:
        if partial.exists():
            partial.unlink()


def check_writable(directory: epath.Path) -> None:
    """Write a file and remove it, because permissions do not tell whether a file system is writable.

    Raises:
      OSError: if the directory is a local one that is not writable.
    """
    probe = directory / f".writable-{uuid.uuid4().hex}"
    probe.write_bytes(b"")
    probe.unlink()


def local_path(path: str | os.PathLike) -> pathlib.Path:
    """Return a user's path as one on this machine, where nothing else will do.

    Raises:
      UserError: if it is an address.

    >>> local_path("report")
    PosixPath('report')
    """
    if "://" in os.fspath(path):
        raise UserError(f"{path} is not on this machine; choose a local path.")
    return pathlib.Path(path).expanduser()


@contextlib.contextmanager
def explaining_bucket_errors(path: epath.Path, verb: str = "read") -> Iterator[None]:
    """Turn an error of a bucket, whose file system has its own exceptions, into a sentence for the user.

    Args:
      path: what is read or written. Errors of a local path are left as they are.
      verb: what is done with it.
    """
    try:
        yield
    except UserError:
        raise
    except Exception as error:
        if not is_remote(path):
            raise
        if isinstance(error, ImportError):
            raise UserError(
                f"Could not {verb} {path}: {error}; gs:// needs the package gcsfs and s3:// needs s3fs."
            ) from error
        reason = " ".join(str(error).split()) or type(error).__name__
        raise UserError(
            f"Could not {verb} {path}: {reason}; check the address, the network and your credentials."
        ) from error


def make_scratch(address: epath.Path, owner: str) -> tempfile.TemporaryDirectory[str]:
    """Make a directory on this machine for files on their way to an address.

    Directories that a killed process left behind for the same purpose are removed.

    Args:
      address: where the files go.
      owner: tells apart the processes, and parts of one, that need a directory at the same time.
    """
    digest = hashlib.sha256(f"{address} {owner}".encode()).hexdigest()[:16]
    prefix = f"flax_googlenet-{digest}-"
    for left in pathlib.Path(tempfile.gettempdir()).glob(f"{prefix}*"):
        shutil.rmtree(left, ignore_errors=True)
    return tempfile.TemporaryDirectory(prefix=prefix, ignore_cleanup_errors=True)
