"""What the library logs, on stderr: plain lines, printed above a progress bar."""

import logging
import sys

import tqdm


class _Lines(logging.Handler):
    """Writes each record as a line above the progress bar, if there is one."""

    def emit(self, record: logging.LogRecord) -> None:
        """Write a record to stderr."""
        prefix = f"{record.levelname.lower()}: " if record.levelno >= logging.WARNING else ""
        tqdm.tqdm.write(prefix + self.format(record), file=sys.stderr)


def show() -> None:
    """Show what the library and the commands log, from INFO on, without absl's prefixes."""
    for name in ("flax_googlenet", "launch"):
        logger = logging.getLogger(name)
        logger.setLevel(logging.INFO)
        logger.handlers = [_Lines()]
        logger.propagate = False
