"""The directory of a run."""

import contextlib
from collections.abc import Iterator

from etils import epath
from ml_collections import FrozenConfigDict

from flax_googlenet.checkpoints import (
    DIRECTORY,
    Checkpoints,
    Survey,
    WorkdirLock,
    find_latest,
    finish_replacements,
    set_aside,
    survey,
)
from flax_googlenet.distributed import broadcast, check_shared, process_index
from flax_googlenet.errors import UserError
from flax_googlenet.paths import check_writable, explaining_bucket_errors, make_directory


class Workdir:
    """The directory of a run, which the first process locks and verifies for all of them.

    Attributes:
      root: the directory.
      latest: the directory of the checkpoint to resume from, or None.
    """

    def __init__(self, root: epath.Path, lock: WorkdirLock) -> None:
        """Lock the directory if it exists, and find the last sound checkpoint. Nothing else is written.

        Args:
          root: the directory.
          lock: its lock, which the caller releases.

        Raises:
          UserError: if another run uses the directory, or no checkpoint in it is sound.
        """
        self.root, self._lock = root, lock
        self._is_new, self._survey = False, Survey()
        if process_index() == 0:
            with explaining_bucket_errors(root):
                self._is_new = not root.exists()
                if not self._is_new:
                    lock.acquire()
                    finish_replacements(root)
                self._survey = survey(root)
        own = self._survey.latest
        name = broadcast("latest checkpoint", own.name if own else "")
        self.latest = root / DIRECTORY / name if name else None

    @property
    def seen(self) -> str:
        """The name of the latest checkpoint if this process finds it, too; for `check_agreement`."""
        with explaining_bucket_errors(self.root):
            return self.latest.name if self.latest and self.latest.exists() else ""

    def check(self) -> None:
        """Check that the directory still belongs to this run.

        Raises:
          UserError: if it was deleted, or another run has taken it.
        """
        if process_index() == 0:
            with explaining_bucket_errors(self.root):
                self._lock.check()

    def open_checkpoints(self, config: FrozenConfigDict) -> Checkpoints:
        """Create the directory, check that it can be written to, and open its checkpoints.

        Corrupt ones are set aside.

        Args:
          config: the resolved config of the run.

        Raises:
          UserError: if the directory cannot be written to.
        """
        try:
            if process_index() == 0:
                make_directory(self.root)
            with explaining_bucket_errors(self.root, "write"):
                check_shared(self.root)
                check_writable(self.root)
        except OSError as error:
            raise UserError(
                f"Cannot write to the workdir {self.root}: {error.strerror}; choose another workdir."
            ) from error
        if process_index() == 0:
            self._take()
        return Checkpoints(
            self.root,
            keep_last=config.checkpoint.keep_last,
            keep_best=config.checkpoint.keep_best,
            on_full_disk=config.checkpoint.on_full_disk,
            in_background=config.checkpoint.in_background,
        )

    def _take(self) -> None:
        if self._is_new:
            self._lock.acquire()
            if find_latest(self.root) is not None:
                raise UserError(
                    f"Another run has saved checkpoints in {self.root} in the meantime; start again to "
                    "resume from them, or choose another workdir."
                )
        set_aside(self._survey, self.root)
        self._is_new, self._survey = False, Survey()


@contextlib.contextmanager
def opened_workdir(root: epath.Path) -> Iterator[Workdir]:
    """Lock the directory of a run until the end of the block.

    Args:
      root: the directory, which need not exist.

    Raises:
      UserError: if another run uses the directory, or no checkpoint in it is sound.
    """
    lock = WorkdirLock(root)
    try:
        yield Workdir(root, lock)
    finally:
        lock.release()
