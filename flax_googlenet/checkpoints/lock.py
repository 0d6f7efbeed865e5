"""The lock on a workdir, which keeps a second run from removing what the first one writes."""

import contextlib
import datetime
import json
import logging
import os
import socket
import uuid
from collections.abc import Mapping
from typing import Any

import filelock
from etils import epath

from flax_googlenet.errors import UserError
from flax_googlenet.paths import is_remote

logger = logging.getLogger(__name__)

LOCK, OWNER = ".lock", ".owner.json"  # in the workdir

# Seconds in which the lock of a process on another host is released after that host was lost: the lease of
# NFS 4 takes 90.
_LEASE = 120.0


class WorkdirLock:
    """The right to write to a workdir.

    The kernel holds the lock for the process and releases it when the process ends, however it ends. A bucket
    and some network file systems have no locks; there the last run to begin keeps the workdir, and an earlier
    one ends when it calls `check`.
    """

    def __init__(self, root: epath.Path, *, lease: float = _LEASE) -> None:
        """Describe this process, without any access to the workdir.

        Args:
          root: the workdir.
          lease: seconds to wait for a lock that a process on another host holds.
        """
        self.root, self._lease = root, lease
        self._lock: filelock.BaseFileLock | None = None
        self._has_signed = False
        self._owner = {
            "id": uuid.uuid4().hex,
            "host": socket.gethostname(),
            "process": os.getpid(),
            "started": datetime.datetime.now().astimezone().isoformat(sep=" ", timespec="seconds"),
        }

    def acquire(self) -> None:
        """Take the lock. Where no file can be written, warn.

        Raises:
          UserError: if another process holds it, or the disk is full.
        """
        if not is_remote(self.root):
            try:
                os.close(os.open(self.root / LOCK, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC))
                self._acquire()
            except OSError as error:
                # Whoever has something to write finds out, and a complete run has nothing.
                logger.warning(f"{self.root} is not locked against other runs: {error.strerror}")
                return
        try:
            (self.root / OWNER).write_text(json.dumps(self._owner))
            self._has_signed = True
        except OSError as error:
            self.release()
            raise UserError(
                f"Cannot write to the workdir {self.root}: {error.strerror or error}; choose another workdir."
            ) from error

    def check(self) -> None:
        """Check that the workdir is still that of this run.

        Raises:
          UserError: if it was deleted, or another run has taken it.
        """
        owner = _read_owner(self.root)
        if owner is None:
            raise UserError(
                f"The workdir {self.root} was deleted or moved while this run wrote to it; start the run "
                "again in a directory that stays."
            )
        if owner.get("id") != self._owner["id"]:
            raise UserError(
                f"{_describe(owner)} has begun to use the workdir {self.root}, so this run ends; choose "
                "another workdir for one of the two."
            )

    def release(self) -> None:
        """Release the lock, if it is held."""
        owner = _read_owner(self.root) if self._has_signed else None
        if owner and owner.get("id") == self._owner["id"]:
            with contextlib.suppress(OSError):  # the workdir may have become read-only
                (self.root / OWNER).unlink()
        if self._lock is not None:
            self._lock.release()
            self._lock = None

    def _acquire(self) -> None:
        # A soft lock is a file that a killed process leaves behind, and would block its restart.
        lock = filelock.FileLock(self.root / LOCK, fallback_to_soft=False, thread_local=False)
        try:
            lock.acquire(blocking=False)
        except filelock.Timeout:
            self._wait_for_lease(lock)
        self._lock = lock

    def _wait_for_lease(self, lock: filelock.BaseFileLock) -> None:
        """Wait for the lock of a process on another host, which may have been lost."""
        owner = _read_owner(self.root) or {}
        if owner.get("host", self._owner["host"]) != self._owner["host"]:
            logger.info(f"waiting for the workdir, which {_describe(owner)} uses ...")
            with contextlib.suppress(filelock.Timeout):
                lock.acquire(timeout=self._lease, poll_interval=min(1.0, self._lease / 10))
                return
        raise UserError(
            f"{_describe(owner)} uses the workdir {self.root}; stop it, wait for its end, or choose another "
            "workdir."
        )


def _read_owner(root: epath.Path) -> Mapping[str, Any] | None:
    """Return what the owner of a workdir has written about itself; None if there is no such file."""
    try:
        owner = json.loads((root / OWNER).read_text())
    except FileNotFoundError:
        return None
    except ValueError:
        return {}  # the owner is about to write it
    return owner if isinstance(owner, dict) else {}


def _describe(owner: Mapping[str, Any]) -> str:
    """Return the owner of a workdir as the subject of a sentence.

    >>> _describe({"host": "node7", "process": 4711, "started": "2026-01-31 12:00:00+01:00"})
    'Process 4711 on node7, which started at 2026-01-31 12:00:00+01:00,'
    """
    if not owner:
        return "Another process"
    return f"Process {owner.get('process')} on {owner.get('host')}, which started at {owner.get('started')},"
