"""The files of a run that grow, which a bucket takes only as a whole."""

import contextlib
import pathlib
import time
from collections.abc import Callable

from etils import epath

from flax_googlenet.paths import explaining_bucket_errors, is_remote, make_scratch

_INTERVAL = 60.0  # seconds between uploads that nothing but the time asks for


class GrowingFiles:
    """A directory for files that are appended to.

    It is the workdir. For a workdir in a bucket, it is a directory on this machine, whose files are uploaded
    as a whole.

    Attributes:
      directory: where to write the files.
    """

    def __init__(self, workdir: epath.Path, owner: str, now: Callable[[], float] = time.monotonic) -> None:
        """Make the directory, if it is not the workdir.

        Args:
          workdir: the directory of the run.
          owner: tells apart what needs a directory for this workdir at the same time.
          now: returns the time in seconds.
        """
        self._workdir = workdir
        self._scratch = make_scratch(workdir, owner) if is_remote(workdir) else None
        self.directory = epath.Path(self._scratch.name) if self._scratch else workdir
        self._now = now
        self._uploaded = now()
        self._sizes: dict[pathlib.Path, int] = {}

    @property
    def is_due(self) -> bool:
        """Whether the files are for a bucket, and were last uploaded more than a minute ago."""
        return self._scratch is not None and self._now() - self._uploaded >= _INTERVAL

    def upload(self) -> None:
        """Upload the files that have changed, if they are for a bucket."""
        if not self._scratch:
            return
        root = pathlib.Path(self.directory)  # epath has no recursive glob
        for path in root.rglob("*"):
            if path.is_dir():
                continue
            content = path.read_bytes()
            if self._sizes.get(path) != len(content):
                target = self._workdir / path.relative_to(root)
                with explaining_bucket_errors(target, "write"):
                    target.write_bytes(content)
                self._sizes[path] = len(content)
        self._uploaded = self._now()

    def close(self) -> None:
        """Upload what has changed, and remove the directory if it is not the workdir."""
        with self._scratch or contextlib.nullcontext():
            self.upload()
