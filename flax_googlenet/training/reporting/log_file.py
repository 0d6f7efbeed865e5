"""The log of each process of a run, in its workdir."""

import contextlib
import datetime
import importlib.metadata
import logging
import platform
import shlex
import socket
import sys
import traceback

from etils import epath

from flax_googlenet.distributed import Preempted, ProcessesLost
from flax_googlenet.errors import StopTraining, UserError
from flax_googlenet.paths import is_remote

LOG_DIRECTORY = "logs"

_PACKAGE = "flax_googlenet"

logger = logging.getLogger(__name__)


class LogFile:
    """Appends the messages of the library to `logs/process_N.log` of the workdir.

    A line about the process precedes them, and the error that ends the context follows. In a bucket, whose
    files cannot be appended to, no log is written.
    """

    def __init__(self, root: epath.Path, process: int) -> None:
        """Prepare to write.

        Args:
          root: the workdir.
          process: number of this process.
        """
        self._root = root
        self._path = root / LOG_DIRECTORY / f"process_{process}.log"
        self._handler: logging.FileHandler | None = None

    def start(self) -> None:
        """Open the file.

        Raises:
          UserError: if it cannot be written.
        """
        if is_remote(self._root):
            return
        try:
            self._path.parent.mkdir(exist_ok=True)
            self._handler = _Handler(self._path, encoding="utf-8")
            self._write(_header())
        except OSError as error:
            raise UserError(
                f"Cannot write {self._path}: {error.strerror}; move away what is in its place."
            ) from error
        self._handler.setFormatter(
            logging.Formatter("%(asctime)s %(levelname)s %(message)s", "%Y-%m-%d %H:%M:%S")
        )
        logging.getLogger(_PACKAGE).addHandler(self._handler)

    def close(self, error: BaseException | None = None) -> None:
        """Close the file.

        Args:
          error: the error that ends the run.
        """
        if self._handler is None:
            return
        logging.getLogger(_PACKAGE).removeHandler(self._handler)
        with contextlib.suppress(OSError):  # the disk may be full, which is then the error, too
            if isinstance(error, UserError):
                self._write(f"error: {error}\n")
            elif isinstance(error, Preempted | ProcessesLost | StopTraining):
                self._write(f"{error}\n")
            elif error is not None:
                self._write("".join(traceback.format_exception(error)))
        with contextlib.suppress(OSError):
            self._handler.close()

    def _write(self, text: str) -> None:
        assert self._handler
        assert self._handler.stream
        self._handler.stream.write(text)
        self._handler.flush()


class _Handler(logging.FileHandler):
    """A handler that goes away when its file can no longer be written, such as on a full disk."""

    def handleError(self, _record: logging.LogRecord) -> None:  # noqa: N802
        logging.getLogger(_PACKAGE).removeHandler(self)
        logger.warning(f"cannot write {self.baseFilename}: {sys.exception()}; this log ends here")


def _header() -> str:
    now = datetime.datetime.now().astimezone().isoformat(timespec="seconds")
    versions = ", ".join(f"{name} {importlib.metadata.version(name)}" for name in ("jax", "jaxlib", "flax"))
    versions += f", Python {platform.python_version()}"
    return f"=== {now}, {socket.gethostname()}: {shlex.join(sys.orig_argv)} ({versions})\n"
