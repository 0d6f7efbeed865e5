"""Signals: a command ends at once, at any point, and says what the same command would do next.

Ctrl-C is from its user. SIGTERM and SIGUSR1 are notices of a scheduler that takes the machine away: a
training that would lose steps stops by itself and saves, unless a second signal comes.

Python runs signal handlers in the main thread between two bytecode instructions, which may be minutes later
if XLA is compiling. A KeyboardInterrupt at an arbitrary point ends in a traceback or in clean-up that blocks.
Therefore a separate thread receives the signals, prints the line and ends the process as SIGKILL would.
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
from collections.abc import Callable, Sequence
from typing import NoReturn

INTERRUPTED = 130  # exit status, by the convention of shells
TRY_AGAIN = 75  # exit status EX_TEMPFAIL: a scheduler should start the same command again

_NOTICES = (signal.SIGTERM, signal.SIGUSR1)

_PATIENCE = 1.5  # seconds that the outlook may take

# Seconds in which all notices are one: Slurm sends SIGTERM twice, from the node and through srun, when it
# requeues or cancels a job.
SAME_NOTICE = 5.0


def _nothing_done() -> str:
    return "nothing has been done yet"


def _ends_at_once() -> None:
    return None


_outlook: Callable[[], str] = _nothing_done
_give_notice: Callable[[], float | None] = _ends_at_once


def install() -> None:
    """Handle the signals from now on, except those that are ignored, as SIGINT is in background jobs."""
    defaults = {signal.SIGINT: signal.default_int_handler, **dict.fromkeys(_NOTICES, signal.SIG_DFL)}
    handled = [number for number, default in defaults.items() if signal.getsignal(number) == default]
    if not handled:
        return
    receiver, sender = os.pipe()
    os.set_blocking(sender, False)
    threading.Thread(target=_listen, args=(receiver,), name="interrupts", daemon=True).start()
    signal.set_wakeup_fd(sender, warn_on_full_buffer=False)
    for number in handled:
        signal.signal(number, _hold if number == signal.SIGINT else _go_on)
    os.register_at_fork(after_in_child=lambda: _restore(handled))
    # The thread does not outlive the interpreter. All work is done then: a notice has nothing left to stop,
    # and must not replace the exit status.
    atexit.register(_restore, handled, on_notice=signal.SIG_IGN)


def explain(outlook: Callable[[], str]) -> None:
    """Set the function that describes what happens next.

    Args:
      outlook: returns what the same command would do. It runs in its own thread and is
        abandoned if it takes too long.
    """
    global _outlook
    _outlook = outlook


def on_notice(give_notice: Callable[[], float | None]) -> None:
    """Set the function that tells the command of a scheduler's notice.

    Args:
      give_notice: returns about how many seconds later the command stops by itself, or None if it loses
        nothing when it ends at once.
    """
    global _give_notice
    _give_notice = give_notice


def _hold(*_: object) -> None:
    """Hold the main thread, if it handles the signal, until the process ends."""
    time.sleep(2 * _PATIENCE)


def _go_on(*_: object) -> None:
    """Let the main thread finish a step."""


def _listen(receiver: int) -> None:
    noticed = 0.0  # when the first notice came
    while True:
        number = os.read(receiver, 1)[0]
        if number == signal.SIGINT:
            break
        if number in _NOTICES and noticed:
            if time.monotonic() - noticed >= SAME_NOTICE:
                break
        elif number in _NOTICES:
            noticed = time.monotonic()
            seconds = _give_notice()
            if seconds is None:
                break
            name = signal.Signals(number).name
            _write(
                f"{name}: stopping within about {seconds:.0f} s to save; a second signal after "
                f"{SAME_NOTICE:.0f} s, or Ctrl-C, ends at once"
            )
    end, status = ("interrupted", INTERRUPTED) if number == signal.SIGINT else ("stopped", TRY_AGAIN)
    threading.Thread(target=_end_with_outlook, args=(end, status), daemon=True).start()
    _wait_for_ctrl_c(receiver, _PATIENCE)
    _end(end, status)


def _wait_for_ctrl_c(receiver: int, seconds: float) -> None:
    """Wait for another Ctrl-C; a notice that comes twice does not cut the outlook short."""
    deadline = time.monotonic() + seconds
    while select.select([receiver], [], [], max(0.0, deadline - time.monotonic()))[0]:
        if os.read(receiver, 1)[0] == signal.SIGINT:
            return


def _end_with_outlook(end: str, status: int) -> None:
    with contextlib.suppress(Exception):  # such as that of an unreadable checkpoint
        _end(f"{end}: {_outlook()}", status)
    _end(end, status)


def _end(line: str, status: int) -> NoReturn:
    _write(line)
    os._exit(status)


def _write(line: str) -> None:
    # Keep the line of a progress bar. Write to the file descriptor, since `sys.stderr` may be locked.
    with contextlib.suppress(OSError):
        os.write(2, (("\n" if sys.stderr.isatty() else "") + line + "\n").encode())


def _restore(handled: Sequence[int], on_notice: signal.Handlers = signal.SIG_DFL) -> None:
    signal.set_wakeup_fd(-1)
    for number in handled:
        signal.signal(number, on_notice if number in _NOTICES else signal.SIG_DFL)
