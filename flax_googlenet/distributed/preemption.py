"""Preemption: the machine is about to be taken away, and all processes of the run stop at the same point.

A run counts points of its work, such as steps and batches of an evaluation. When a process gets a notice, a
thread of every process freezes its count and sends it to the others. They stop at the highest count, which no
process has passed and all can reach. The threads need no operation of the devices, in which the main threads
may wait for each other at that moment.
"""

import contextlib
import itertools
import threading
import time
from collections.abc import Callable, Iterator
from typing import Any

import jax

from flax_googlenet.distributed.coordination import client, gather, key_of, process_count, publish
from flax_googlenet.distributed.watchdog import end_process
from flax_googlenet.errors import UserError

INTERVAL = 1.0  # seconds between two looks for a notice to another process

# Seconds to wait for the counts of the others, whose threads answer while their main threads work.
_PATIENCE = 60.0

_rounds = itertools.count()


class Preempted(Exception):  # noqa: N818, not an error
    """A run has stopped because of a notice, and has saved what it had done.

    Attributes:
      step: the number of updates made.
      checkpoint: the directory of the checkpoint of that step; "" if no step has been made.
    """

    def __init__(self, step: int, checkpoint: str) -> None:
        super().__init__(f"The run was preempted after step {step}.")
        self.step, self.checkpoint = step, checkpoint


class StopHere(Exception):  # noqa: N818
    """Ends the work at the point on which all processes have agreed."""


class _Heed:
    """What a process knows about the notices to its run.

    Attributes:
      passed: number of points that the main thread has passed.
      stop: number of points after which to stop; None without a notice.
      noticed: time of the notice, by `time.monotonic`.
      slowest: longest time in seconds between two points.
    """

    def __init__(self) -> None:
        self.passed = 0
        self.stop: int | None = None
        self.noticed = self.slowest = 0.0
        self._passed_at: float | None = None
        self._lock = threading.Lock()  # held while the count is frozen
        self._notice, self._left = threading.Event(), threading.Event()
        self._round = next(_rounds)
        self._is_sent = False
        threading.Thread(target=self._run, name="preemption", daemon=True).start()

    @property
    def is_noticed(self) -> bool:
        return self._notice.is_set()

    def notice(self) -> None:
        self._notice.set()

    def point(self) -> None:
        with self._lock:
            now, before = time.monotonic(), self._passed_at
            self.check()
            self.passed += 1
            self._passed_at = now
            self.slowest = max(self.slowest, now - before if before is not None else 0.0)

    def check(self) -> None:
        self._passed_at = None  # a wait ends at once, so that it does not count in `slowest`
        if self.stop is not None and self.passed >= self.stop:
            raise StopHere

    def leave(self) -> None:
        """Stop listening. Processes that agree later on where to stop need not wait for this one."""
        with self._lock:
            self._left.set()
            self._send()

    def _run(self) -> None:
        with contextlib.suppress(
            jax.errors.JaxRuntimeError
        ):  # the watchdog ends a process without coordinator
            self._listen()

    def _listen(self) -> None:
        key = key_of("preemption notice", self._round)
        while not self._notice.wait(INTERVAL):
            if self._left.is_set():
                return
            if process_count() > 1 and client().key_value_dir_get(key):
                break
        self.noticed = time.monotonic()
        if process_count() > 1:
            client().key_value_set(f"{key}/notice", "", allow_overwrite=True)
        with self._lock:
            if self._left.is_set():
                return
            try:
                self.stop = max(map(int, self._send_and_gather()))
            except UserError as error:  # the main thread may wait in an operation of the devices
                end_process(str(error))

    def _send(self) -> None:
        if not self._is_sent:
            publish(self._topic, str(self.passed))
            self._is_sent = True

    def _send_and_gather(self) -> list[str]:
        if process_count() == 1:
            return [str(self.passed)]
        self._send()
        return gather(self._topic, deadline=_PATIENCE)

    @property
    def _topic(self) -> str:
        return f"point of preemption {self._round}"


_heed: _Heed | None = None
_ends = False  # whether this process ends at once because of a notice
_is_unheeded = False  # whether a training failed or was complete before it could stop at a notice
_lock = threading.Lock()  # held while one of these changes


@contextlib.contextmanager
def heeded() -> Iterator[None]:
    """Heed notices inside the block, in which `point` and `check` may raise `StopHere`.

    All processes enter and leave the block, and pass the same points in the same order. If the work fails
    after a notice, or is complete before it can stop, the work of the next block stops.
    """
    global _heed, _is_unheeded
    assert _heed is None, "a process runs one training at a time"
    with _lock:
        ends = _ends
        _heed = heed = _Heed()
    if ends:
        threading.Event().wait()  # do not begin what would be lost
    if _is_unheeded:
        heed.notice()
    has_stopped = False
    try:
        yield
    except (StopHere, Preempted):
        has_stopped = True
        raise
    finally:
        _heed = None
        heed.leave()
        _is_unheeded = heed.is_noticed and not has_stopped


def notice() -> float | None:
    """Give notice that this process will be ended soon. Call it from any thread.

    Returns:
      None if nothing is lost when the process ends at once, because it is not inside of `heeded`; it does not
      get there any more. Else the run stops by itself, about this number of seconds later, and then saves.
    """
    global _ends
    with _lock:
        heed = _heed
        _ends = heed is None
    if heed is None:
        return None
    heed.notice()
    # The devices have up to two steps to finish, and other processes may have begun one more.
    return INTERVAL + 3 * heed.slowest


def seconds_since_notice() -> float:
    """Return the age of the notice that stops the run."""
    assert _heed is not None
    return time.monotonic() - _heed.noticed


def point() -> None:
    """Pass a point of the work that all processes pass in the same order.

    Between two points, only `check` ends the work. What has lasting effects, such as a save, is done either
    before the next call of both or not at all.

    Raises:
      StopHere: if all processes stop before this point.
    """
    if _heed is not None:
        _heed.point()


def check() -> None:
    """Look for a notice while waiting for something that only this process needs.

    Raises:
      StopHere: if all processes stop before the next point.
    """
    if _heed is not None:
        _heed.check()


def wait_for(work: Callable[[], Any]) -> Any:
    """Do work that takes long, such as compilation, and abandon it at a notice.

    Inside of `heeded`, the work runs in another thread, which goes on after `StopHere`. The process should
    then end by `os._exit`.

    Args:
      work: a function without arguments.

    Returns:
      What the function returns.

    Raises:
      StopHere: as `check` does.
    """
    if _heed is None:
        return work()
    outcome: dict[str, Any] = {}

    def run() -> None:
        try:
            outcome["value"] = work()
        except BaseException as error:
            outcome["error"] = error

    thread = threading.Thread(target=run, name="work", daemon=True)
    thread.start()
    while thread.is_alive():
        thread.join(INTERVAL / 4)
        if thread.is_alive():
            check()
    if "error" in outcome:
        raise outcome["error"]
    return outcome["value"]
