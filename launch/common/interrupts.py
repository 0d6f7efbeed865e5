"""Ctrl-C: a command ends at once, at any point, and says what the same command would do next.

Python runs signal handlers in the main thread between two bytecode instructions, which may be minutes later
if XLA is compiling. A KeyboardInterrupt at an arbitrary point ends in a traceback or in clean-up that blocks.
Therefore a separate thread receives the signal, prints the line and ends the process as SIGKILL would.
That is safe because every file that a command leaves is either complete or recognizably partial.

All signal handling is in this module. It imports only what is quick to import, since commands install it
before anything else.
"""

import atexit
import contextlib
import os
import select
import signal
import sys
import threading
import time
from collections.abc import Callable
from typing import NoReturn

INTERRUPTED = 130  # exit status, by the convention of shells

_PATIENCE = 1.5  # seconds that the outlook may take


def _nothing_done() -> str:
    return "nothing has been done yet"


_outlook: Callable[[], str] = _nothing_done


def install() -> None:
    """Make Ctrl-C end the process from now on, unless SIGINT is ignored, as under nohup."""
    if signal.getsignal(signal.SIGINT) is not signal.default_int_handler:
        return
    receiver, sender = os.pipe()
    os.set_blocking(sender, False)
    threading.Thread(target=_listen, args=(receiver,), name="interrupts", daemon=True).start()
    signal.set_wakeup_fd(sender, warn_on_full_buffer=False)
    # Hold the main thread, if it handles the signal, until the process ends.
    signal.signal(signal.SIGINT, lambda *_: time.sleep(2 * _PATIENCE))
    os.register_at_fork(after_in_child=_restore)
    atexit.register(_restore)  # the thread does not outlive the interpreter


def explain(outlook: Callable[[], str]) -> None:
    """Set the function that describes what happens next.

    Args:
      outlook: returns what the same command would do. It runs in its own thread and is
        abandoned if it takes too long.
    """
    global _outlook
    _outlook = outlook


def _listen(receiver: int) -> None:
    while os.read(receiver, 1)[0] != signal.SIGINT:
        pass
    threading.Thread(target=_end_with_outlook, daemon=True).start()
    select.select([receiver], [], [], _PATIENCE)  # a second Ctrl-C ends the wait
    _end()


def _end_with_outlook() -> None:
    with contextlib.suppress(Exception):  # such as that of an unreadable checkpoint
        _end(_outlook())
    _end()


def _end(outlook: str = "") -> NoReturn:
    # Keep the line of a progress bar. Write to the file descriptor, since `sys.stderr` may be locked.
    line = ("\n" if sys.stderr.isatty() else "") + "interrupted" + (f": {outlook}" if outlook else "") + "\n"
    with contextlib.suppress(OSError):
        os.write(2, line.encode())
    os._exit(INTERRUPTED)


def _restore() -> None:
    signal.set_wakeup_fd(-1)
    signal.signal(signal.SIGINT, signal.SIG_DFL)
