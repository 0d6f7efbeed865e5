"""Log messages of the library and the commands as plain lines on stderr."""

import logging
import sys

import tqdm


class _Lines(logging.Handler):
    """A handler that writes records as lines, above the progress bar if one is shown."""

    def emit(self, record: logging.LogRecord) -> None:
        """Write a record to stderr, with a prefix if it is a warning or an error."""
        prefix = f"{record.levelname.lower()}: " if record.levelno >= logging.WARNING else ""
        tqdm.tqdm.write(prefix + self.format(record), file=sys.stderr)


def show() -> None:
    """Show the messages of level INFO and above on stderr, without absl's prefixes.

    The log files of a run take those of level DEBUG, too.
    """
    for name in ("flax_googlenet", "launch"):
        logger = logging.getLogger(name)
        logger.setLevel(logging.DEBUG)
        logger.handlers = [_Lines(logging.INFO)]
        logger.propagate = False
