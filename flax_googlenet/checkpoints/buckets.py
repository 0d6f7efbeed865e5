"""Checkpoints on their way from this machine to a bucket.

Orbax cannot write arrays to s3://, and uses a client of its own for gs://. Here it writes every checkpoint to
this machine, and fsspec uploads the files, to all kinds of buckets alike.
"""

import os
import pathlib
from collections.abc import Collection

import fsspec
from etils import epath

from flax_googlenet.checkpoints.integrity import DIGESTS
from flax_googlenet.checkpoints.locations import (
    complete_checkpoints,
    mark_partial,
    remove,
    unmark_partial,
)
from flax_googlenet.distributed import process_index
from flax_googlenet.paths import explaining_bucket_errors, make_scratch

_ARRAYS = ("weights", "optimizer")


class Staging:
    """A directory on this machine for the checkpoints of a run in a bucket.

    It holds every checkpoint of the bucket, because Orbax decides by it which ones are among the last and the
    best, but the arrays of the last one only. Leaving its context removes from the bucket what is not to be
    kept, and the directory.

    Attributes:
      directory: where to write checkpoints.
    """

    def __init__(self, bucket: epath.Path) -> None:
        """Make the directory.

        Args:
          bucket: the address of the `checkpoints` of a run.
        """
        self._bucket = bucket
        self._scratch = make_scratch(bucket, f"checkpoints of process {process_index()}")
        self.directory = epath.Path(self._scratch.name)
        with explaining_bucket_errors(bucket):
            for checkpoint in complete_checkpoints(bucket):
                copy = self.directory / checkpoint.name / "metrics"
                copy.mkdir(parents=True)
                metrics = checkpoint / "metrics" / "metrics"
                if metrics.exists():
                    (copy / metrics.name).write_bytes(metrics.read_bytes())

    def upload(self, checkpoint: epath.Path, step: int) -> None:
        """Upload a checkpoint, its digests last, and remove those that Orbax has removed here.

        Args:
          checkpoint: a complete checkpoint in `directory`, under any name.
          step: the number of updates made.
        """
        self.remove_arrays(except_for=checkpoint)
        target = self._bucket / str(step)
        with explaining_bucket_errors(target, "write"):
            remove(target)  # the rest of one that was interrupted or is replaced
            mark_partial(target)
            names = [name for name in _names_of_files(checkpoint) if name != DIGESTS]
            system, _ = fsspec.url_to_fs(os.fspath(target))
            system.put(*([os.fspath(root / name) for name in names] for root in (checkpoint, target)))
            (target / DIGESTS).write_bytes((checkpoint / DIGESTS).read_bytes())
            unmark_partial(target)
            self.prune(keep={str(step)})

    def prune(self, keep: Collection[str] = ()) -> None:
        """Remove the checkpoints from the bucket that are not here, other than those to keep."""
        here = {entry.name for entry in self.directory.iterdir()} | set(keep)
        for checkpoint in complete_checkpoints(self._bucket):
            if checkpoint.name not in here:
                remove(checkpoint)

    def remove_arrays(self, except_for: epath.Path) -> None:
        """Remove the arrays of all checkpoints but one from this machine."""
        for entry in self.directory.iterdir():
            if entry != except_for:
                for item in _ARRAYS:
                    (entry / item).rmtree(missing_ok=True)

    def __enter__(self) -> None:
        pass

    def __exit__(self, kind: type[BaseException] | None, *_: object) -> None:
        with self._scratch:
            if kind is None and process_index() == 0:
                with explaining_bucket_errors(self._bucket, "write"):
                    self.prune()


def _names_of_files(directory: epath.Path) -> list[str]:
    root = pathlib.Path(directory)  # epath has no recursive glob
    return [str(path.relative_to(root)) for path in root.rglob("*") if path.is_file()]
