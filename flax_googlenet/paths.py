"""Paths on this machine and in buckets, as `etils.epath.Path`, which Orbax takes too.

`epath.Path` has the methods of `pathlib.Path` and reaches gs:// and s3:// through fsspec.
"""

import os

import fsspec
from etils import epath

from flax_googlenet.errors import UserError

SCHEMES = ("gs://", "s3://", "az://", "hf://")  # known to epath

# If TensorFlow is installed, epath imports it to open an address, which takes seconds and claims GPU memory.
# It reads this variable when it opens the first address.
os.environ.setdefault("EPATH_USE_TF", "false")

# A cached listing would hide checkpoints that another process has saved in the meantime.
for _name in ("gs", "gcs", "s3", "az", "hf"):
    fsspec.config.conf.setdefault(_name, {}).setdefault("use_listings_cache", False)


def resolve_path(path: str | os.PathLike) -> epath.Path:
    """Return a user's path as an absolute one.

    Args:
      path: a local path, in which `~` is expanded, or an address, which is returned unchanged.

    Raises:
      UserError: if no file system is known for the address.

    >>> resolve_path("gs://bucket/run") / "checkpoints"
    PosixGPath('gs://bucket/run/checkpoints')
    >>> resolve_path("/tmp/run")
    PosixGPath('/tmp/run')
    """
    text = os.fspath(path)
    if text.startswith(SCHEMES):
        return epath.Path(text)
    if "://" in text:
        raise UserError(f"{text} has an unknown scheme; use a local path or one of {', '.join(SCHEMES)}.")
    return epath.Path(text).expanduser().absolute()


def is_remote(path: epath.Path) -> bool:
    """Return whether a path is an address in a bucket, where no directory can be renamed atomically."""
    return os.fspath(path).startswith(SCHEMES)
