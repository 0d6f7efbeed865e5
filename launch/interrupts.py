"""Ctrl-C: a command ends at once, wherever it is, and says what becomes of its work.

Python runs the handler of a signal in the main thread, between two of its instructions: not before XLA
has compiled, which takes minutes. And a KeyboardInterrupt that comes anywhere ends in clean-up that waits
or in a traceback. So a thread of its own hears of the signal, says what there is to say and ends the
process as SIGKILL would: whatever a command leaves on disk is complete, or known not to be.

This is the one place for signals. It imports nothing that takes time, as it must be there first.
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

INTERRUPTED = 130  # exit status, as shells have it

_PATIENCE = 1.5  # seconds to find out what becomes of the work


def _nothing_done() -> str:
    return "nothing was done yet"


_outlook: Callable[[], str] = _nothing_done


def install() -> None:
    """Have Ctrl-C end the process from now on, unless it is ignored, as under nohup."""
    if signal.getsignal(signal.SIGINT) is not signal.default_int_handler:
        return
    receiver, sender = os.pipe()
    os.set_blocking(sender, False)
    threading.Thread(target=_listen, args=(receiver,), name="interrupts", daemon=True).start()
    signal.set_wakeup_fd(sender, warn_on_full_buffer=False)
    # The main thread, if it hears of it, goes no further.
    signal.signal(signal.SIGINT, lambda *_: time.sleep(2 * _PATIENCE))
    os.register_at_fork(after_in_child=_restore)
    atexit.register(_restore)  # when the interpreter ends, so does the thread


def explain(outlook: Callable[[], str]) -> None:
    """Set what is said from now on.

    Args:
      outlook: says what the same command would do. It is called in another thread than the main one,
        and given up on when it takes long.
    """
    global _outlook
    _outlook = outlook


def _listen(receiver: int) -> None:
    while os.read(receiver, 1)[0] != signal.SIGINT:
        pass
    threading.Thread(target=_find_out_and_end, daemon=True).start()
    select.select([receiver], [], [], _PATIENCE)  # a second Ctrl-C does not wait either
    _end()


def _find_out_and_end() -> None:
    with contextlib.suppress(
        Exception
    ):  # a checkpoint may be unreadable; nobody can do anything about it now
        _end(_outlook())
    _end()


def _end(outlook: str = "") -> NoReturn:
    # The bar's line is left as it is. What is buffered in `sys.stderr` may be locked.
    line = ("\n" if sys.stderr.isatty() else "") + "interrupted" + (f": {outlook}" if outlook else "") + "\n"
    with contextlib.suppress(OSError):
        os.write(2, line.encode())
    os._exit(INTERRUPTED)


def _restore() -> None:
    signal.set_wakeup_fd(-1)
    signal.signal(signal.SIGINT, signal.SIG_DFL)
