"""Worker threads that read and decode, with a deadline for reads.

A read from an unreachable file server may block its thread forever. A caller that waits for such a
read gets an error that names the file, and the process can exit while the thread is blocked.
"""

import atexit
import collections
import concurrent.futures
import contextlib
import dataclasses
import itertools
import os
import queue
import stat
import threading
import weakref
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future
from types import TracebackType
from typing import Any, Generic, Self, TypeVar

from flax_googlenet.errors import CorruptImageError, UserError

READ_DEADLINE = 120.0  # seconds that the read of a file or record may take

_PATIENCE = 1.0  # seconds that `Workers.close` waits for reads in progress

# Flags of `os.open`. The opening of a FIFO would wait for its writer.
_READ_WITHOUT_WAITING = os.O_RDONLY | sum(getattr(os, name, 0) for name in ("O_NONBLOCK", "O_BINARY"))

Task = TypeVar("Task")
Result = TypeVar("Result")


@dataclasses.dataclass
class _Read:
    """A read in progress.

    Attributes:
      name: identifies the file or record in error messages.
      waited: seconds that `Workers.result` has waited for the read.
    """

    name: str
    waited: float = 0.0


class _Closed(BaseException):
    """Ends a task of a closed pool. It is not an `Exception`, so that tasks do not catch it."""


class _Worker(threading.Thread):
    """A thread of a pool.

    It is a daemon, because otherwise the interpreter would wait at exit for a read that never ends.
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
    """A pool of worker threads with a deadline for reads.

    It works like `concurrent.futures.ThreadPoolExecutor`, but a read that hangs does not block it:
    `result` raises an error after the deadline, and `close` abandons the thread.

    Attributes:
      count: the number of threads.
      closed: whether `close` has been called.
    """

    def __init__(
        self,
        count: int = 0,
        name: str = "worker",
        deadline: float | None = None,
        while_waiting: Callable[[], None] = lambda: None,
    ) -> None:
        """Start the threads.

        Args:
          count: the number of threads; 0 for one per core.
          name: the prefix of the threads' names.
          deadline: seconds that a read may take; None for `READ_DEADLINE`.
          while_waiting: called about once a second by `result` while it waits. An error that it raises ends
            the wait.
        """
        self.count = count or os.cpu_count() or 1
        self.closed = False
        self.tasks: queue.SimpleQueue[Any] = queue.SimpleQueue()
        self._deadline = READ_DEADLINE if deadline is None else deadline
        self._while_waiting = while_waiting
        self._threads = [_Worker(self, f"{name}-{number}") for number in range(self.count)]
        _pools.add(self)
        for thread in self._threads:
            thread.start()

    def submit(self, function: Callable[..., Result], *arguments: Any) -> Future[Result]:
        """Schedule a function call. Calls begin in the order in which they are submitted."""
        future: Future[Result] = Future()
        self.tasks.put((future, function, arguments))
        return future

    def map(
        self, function: Callable[[Task], Result], tasks: Iterable[Task], ahead: int | None = None
    ) -> "OrderedResults[Task, Result]":
        """Apply a function to tasks, and return an iterator over the results in the order of the tasks.

        Args:
          function: called with each task by a worker thread.
          tasks: consumed as results are requested. No further task begins after an error.
          ahead: the number of tasks in progress at a time; None for two per thread.
        """
        return OrderedResults(self, function, iter(tasks), 2 * self.count if ahead is None else ahead)

    def result(self, future: Future[Result]) -> Result:
        """Wait for a submitted function call and return its result.

        Raises:
          UserError: if a read of any thread of the pool takes longer than the deadline.
        """
        # Waiting in short steps keeps the time that the process is suspended from counting as read time.
        step = min(1.0, self._deadline / 4)
        while not future.done():
            concurrent.futures.wait([future], timeout=step)
            if not future.done():
                self._charge_reads(step)
                self._while_waiting()
        return future.result()

    def close(self) -> None:
        """Cancel the tasks that have not begun, stop the others and wait for the threads.

        A running task stops at its next read. A thread whose read does not end is abandoned.
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

    def _charge_reads(self, seconds: float) -> None:
        """Add to the time of every read in progress, and raise an error if one is overdue."""
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


class OrderedResults(Iterator[Result], Generic[Task, Result]):
    """An iterator over the results of `Workers.map`, computed a bounded number of tasks ahead."""

    def __init__(
        self, pool: Workers, function: Callable[[Task], Result], tasks: Iterator[Task], ahead: int
    ) -> None:
        self._pool, self._function, self._tasks, self._ahead = pool, function, tasks, ahead
        self._futures: collections.deque[Future[Result]] = collections.deque()

    def __next__(self) -> Result:
        for task in itertools.islice(self._tasks, self._ahead - len(self._futures)):
            self._futures.append(self._pool.submit(self._function, task))
        if not self._futures:
            raise StopIteration
        return self._pool.result(self._futures.popleft())

    def is_ready(self, count: int = 1) -> bool:
        """Return whether the next `count` results are available without waiting."""
        futures = list(itertools.islice(self._futures, count))
        return len(futures) == count and all(future.done() for future in futures)


_pools: weakref.WeakSet[Workers] = weakref.WeakSet()


@atexit.register
def _close_pools() -> None:
    """Stop all threads. The process would abort if the interpreter exited while a thread is in OpenCV."""
    for pool in list(_pools):
        pool.close()


class reading:  # noqa: N801, a context manager that is called like a function
    """Apply the deadline of the current thread's pool to the reads in a block.

    Reads outside of a pool have no deadline.
    """

    __slots__ = ("_name", "_outer", "_worker")

    def __init__(self, name: str) -> None:
        """Begin nothing yet.

        Args:
          name: identifies the file or record in error messages.
        """
        self._name = name

    def __enter__(self) -> None:
        thread = threading.current_thread()
        self._worker = thread if isinstance(thread, _Worker) else None
        if self._worker is not None:
            if self._worker.pool.closed:
                raise _Closed
            self._outer, self._worker.read = self._worker.read, _Read(self._name)

    def __exit__(self, kind: type[BaseException] | None, error: object, trace: object) -> None:
        if self._worker is not None:
            self._worker.read = self._outer
            if self._worker.pool.closed and kind is None:
                raise _Closed


def read_file(path: str | os.PathLike[str]) -> bytes:
    """Read a regular file, or a link to one.

    Raises:
      CorruptImageError: if the path is not a regular file, such as a FIFO.
      OSError: if the file cannot be read.
    """
    name = os.fspath(path)
    with reading(name):
        # A file object takes twice as long.
        file = os.open(name, _READ_WITHOUT_WAITING)
        try:
            status = os.fstat(file)
            if not stat.S_ISREG(status.st_mode):
                raise CorruptImageError(f"{path} is not a regular file; remove it or replace it.")
            content = os.read(file, status.st_size)
            # A read may return less: of more than 2 GB, or at the end of a file that was cut meanwhile.
            while len(content) < status.st_size and (more := os.read(file, status.st_size - len(content))):
                content += more
            return content
        finally:
            os.close(file)


def read_file_in_time(path: str | os.PathLike[str], deadline: float | None = None) -> bytes:
    """Read a file as `read_file` does, with a deadline also outside of a pool.

    Tasks of `Workers` call `read_file`, since their reads have a deadline already.

    Raises:
      CorruptImageError, OSError: as in `read_file`.
      UserError: if the read takes longer than the deadline.
    """
    with Workers(1, "read", deadline) as workers:
        return workers.result(workers.submit(read_file, path))
