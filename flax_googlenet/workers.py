"""Worker threads that read and decode, and what becomes of a read that never ends.

A file of a file server that cannot be reached keeps the thread that reads it for ever. Whoever waits
for such a thread gets an error that names the file, and the process ends without it.
"""

import atexit
import collections
import concurrent.futures
import contextlib
import dataclasses
import os
import queue
import stat
import threading
import weakref
from collections.abc import Callable, Generator, Iterable, Iterator
from concurrent.futures import Future
from types import TracebackType
from typing import Any, Self, TypeVar

from flax_googlenet.errors import CorruptImageError, UserError

READ_DEADLINE = 120.0  # seconds that a read may take, of one file or one record

_PATIENCE = 1.0  # seconds that `Workers.close` leaves to reads that are under way

Task = TypeVar("Task")
Result = TypeVar("Result")


@dataclasses.dataclass
class _Read:
    """A read that is under way.

    Attributes:
      name: of what is read.
      waited: seconds that somebody has waited for it.
    """

    name: str
    waited: float = 0.0


class _Closed(BaseException):
    """Ends a task of a pool that is closed: no error of the task, which must not catch it."""


class _Worker(threading.Thread):
    """A thread of a pool.

    It is a daemon, or the interpreter would wait at its end for a read that never ends.
    """

    def __init__(self, pool: "Workers", name: str) -> None:
        super().__init__(name=name, daemon=True)
        self.pool = pool
        self.read: _Read | None = None

    def run(self) -> None:
        while (task := self.pool.tasks.get()) is not None:
            future, function, arguments = task
            if future.set_running_or_notify_cancel():
                try:
                    result = function(*arguments)
                except BaseException as error:
                    future.set_exception(error)
                else:
                    future.set_result(result)
                    del result
            del task, future, function, arguments


class Workers:
    """A pool of threads, as `concurrent.futures.ThreadPoolExecutor`, that no read can hang.

    `result` gives up on a read that takes longer than the deadline, and `close` leaves its thread behind.
    """

    def __init__(self, count: int, name: str = "worker", deadline: float | None = None) -> None:
        """Start the threads.

        Args:
          count: how many.
          name: what their names begin with.
          deadline: seconds that a read may take; None for `READ_DEADLINE`.
        """
        self.closed = False
        self.tasks: queue.SimpleQueue[Any] = queue.SimpleQueue()
        self._deadline = READ_DEADLINE if deadline is None else deadline
        self._threads = [_Worker(self, f"{name}-{number}") for number in range(count)]
        _pools.add(self)
        for thread in self._threads:
            thread.start()

    def submit(self, function: Callable[..., Result], *arguments: Any) -> Future[Result]:
        """Have a thread call a function, after those that were submitted before."""
        future: Future[Result] = Future()
        self.tasks.put((future, function, arguments))
        return future

    def map(self, function: Callable[[Task], Result], tasks: Iterable[Task]) -> Iterator[Result]:
        """Yield the results in the order of the tasks, of which a few are under way at a time."""
        ahead: collections.deque[Future[Result]] = collections.deque()
        for task in tasks:
            ahead.append(self.submit(function, task))
            if len(ahead) > 2 * len(self._threads):
                yield self.result(ahead.popleft())
        while ahead:
            yield self.result(ahead.popleft())

    def result(self, future: Future[Result]) -> Result:
        """Wait for what a function returns.

        Raises:
          UserError: a thread, of whatever task, does not come to the end of a read.
        """
        # In steps: what the process sleeps through, as when it is stopped, is no time of the read.
        step = min(1.0, self._deadline / 4)
        while not future.done():
            concurrent.futures.wait([future], timeout=step)
            if not future.done():
                self._count(step)
        return future.result()

    def close(self) -> None:
        """Drop the tasks that have not begun, cut the others short and wait for the threads.

        A task ends at its next read. A thread that does not come to the end of its read is left behind.
        """
        self.closed = True
        with contextlib.suppress(queue.Empty):
            while (task := self.tasks.get_nowait()) is None or task[0].cancel():
                pass
        for _ in self._threads:
            self.tasks.put(None)
        step, patience = 0.05, _PATIENCE
        for thread in self._threads:
            while thread.is_alive() and (thread.read is None or patience > 0):
                thread.join(step)
                if thread.read is not None:
                    patience -= step

    def _count(self, seconds: float) -> None:
        overdue = set()
        for thread in self._threads:
            if (read := thread.read) is not None:
                read.waited += seconds
                if read.waited >= self._deadline:
                    overdue.add(read.name)
        if overdue:
            names, more = ", ".join(sorted(overdue)[:3]), len(overdue) - 3
            raise UserError(
                f"{names}{f' and {more} more' if more > 0 else ''} could not be read within "
                f"{self._deadline:g} s; make sure that the file system can be reached."
            )

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()


_pools: weakref.WeakSet[Workers] = weakref.WeakSet()


@atexit.register
def _close_pools() -> None:
    """Stop what is still at work: the end of the interpreter under a thread in OpenCV aborts the process."""
    for pool in list(_pools):
        pool.close()


@contextlib.contextmanager
def reading(name: str) -> Generator[None, None, None]:
    """Put what a thread does in here under its pool's deadline; outside of a pool it means nothing.

    Args:
      name: of what is read.
    """
    thread = threading.current_thread()
    if not isinstance(thread, _Worker):
        yield
        return
    around, thread.read = thread.read, _Read(name)
    try:
        if thread.pool.closed:
            raise _Closed
        yield
    finally:
        thread.read = around
    if thread.pool.closed:
        raise _Closed


def read_file(path: str | os.PathLike[str]) -> bytes:
    """Read a regular file, or a link to one.

    Raises:
      CorruptImageError: it is something else: to open a FIFO would be to wait for its writer.
      OSError: it cannot be read.
    """
    name = os.fspath(path)
    with (
        reading(name),
        open(name, "rb", buffering=0, opener=_open_without_waiting) as file,
    ):
        if not stat.S_ISREG(os.fstat(file.fileno()).st_mode):
            raise CorruptImageError(f"{path} is not a regular file; remove it or replace it.")
        return file.read()


def read_file_in_time(path: str | os.PathLike[str], deadline: float | None = None) -> bytes:
    """Read a file as `read_file` does, and wait for it no longer than the deadline.

    For the main thread; what a task of `Workers` reads is under a deadline anyway.

    Raises:
      CorruptImageError, OSError: as in `read_file`.
      UserError: the read took too long.
    """
    with Workers(1, "read", deadline) as workers:
        return workers.result(workers.submit(read_file, path))


def _open_without_waiting(path: str, flags: int) -> int:
    return os.open(path, flags | getattr(os, "O_NONBLOCK", 0))
