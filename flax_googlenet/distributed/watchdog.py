"""A thread that ends this process if another one of the run has failed, died or stopped.

Without it, the others wait in a collective operation of the devices, for ever if the process still exists.
JAX notices a process that has died after a minute or more, and one that is stopped never.
"""

import contextlib
import json
import logging
import os
import sys
import threading
import time
from collections.abc import Callable
from typing import Any, NoReturn

import jax

from flax_googlenet.distributed.coordination import client, describe, key_of, process_index, processes

# Exit status of a process that ends because of another one: EX_TEMPFAIL, "try again later".
TRY_AGAIN = 75

# Exit status of a process that ends because another one failed, which would fail again.
FAILED = 1

SILENCE = 60.0  # seconds without a sign of life after which a process counts as dead

_INTERVAL = 1.0  # seconds between signs of life
PATIENCE = 3.0  # seconds for the last sign to be sent, and to be read
_PATIENCE_OF_LOG = 1.0  # seconds
_DONE = "done"
_STOPPING = "stopping"

logger = logging.getLogger(__name__)


def end_process(sentence: str, status: int = TRY_AGAIN) -> NoReturn:
    """End this process at once, since its main thread may wait in JAX."""
    os.write(2, f"error: {sentence}\n".encode())
    # For the log file of this process. The main thread may hold the lock of the file.
    logged = threading.Thread(target=logger.debug, args=(f"error: {sentence}",), daemon=True)
    logged.start()
    logged.join(_PATIENCE_OF_LOG)
    os._exit(status)


class Watchdog:
    """Publishes a sign of life of this process every second, and watches those of the others.

    Attributes:
      silence: seconds without a sign of life after which a process counts as dead.
    """

    def __init__(self, silence: float = SILENCE, end: Callable[[str, int], Any] = end_process) -> None:
        """Start to watch.

        Args:
          silence: seconds without a sign of life after which a process counts as dead.
          end: called with a sentence about the process that failed, died or stopped, and the exit status.
        """
        self.silence, self._end = silence, end
        self._stopped = threading.Event()
        self._answered = time.monotonic()  # when the coordination service last answered
        self._seen: dict[
            int, tuple[str, float]
        ] = {}  # the last sign of life of each process, and when it came
        for target in (self._watch_processes, self._watch_service):
            threading.Thread(target=target, name="watchdog", daemon=True).start()

    def stop(self) -> None:
        """Stop watching, and tell the others that this process ends as it should."""
        self._end_with(_DONE)

    def fail(self, failure: str) -> None:
        """Stop watching, and tell the others that this process fails, so that they end, too.

        Args:
          failure: the sentence with which it ends.
        """
        self._end_with(json.dumps(failure))

    def leave(self) -> None:
        """Stop watching, and tell the others that this process was told to stop, so that they end, too."""
        self._end_with(_STOPPING)

    def _end_with(self, sign: str) -> None:
        if self._stopped.is_set():
            return
        self._stopped.set()
        # In a thread, since the service may be gone or hang.
        last = threading.Thread(target=self._publish_if_possible, args=(sign,))
        last.daemon = True
        last.start()
        last.join(PATIENCE)
        if sign != _DONE and process_index() == 0:
            time.sleep(PATIENCE)  # The service ends with this process, and the others should hear why.

    def _publish(self, sign: str) -> None:
        client().key_value_set(key_of("life", process_index()), sign, allow_overwrite=True)

    def _publish_if_possible(self, sign: str) -> None:
        with contextlib.suppress(jax.errors.JaxRuntimeError):
            self._publish(sign)

    def _watch_processes(self) -> None:
        count = 0
        while not self._stopped.wait(_INTERVAL):
            count += 1
            try:
                self._publish(str(count))
                signs = client().key_value_dir_get(key_of("life"))
            except jax.errors.JaxRuntimeError as error:
                self._report(
                    f"{describe(0)}, which coordinates the run, cannot be reached: {_first_line(error)}"
                )
                return
            self._answered = time.monotonic()
            self._check({int(key.rpartition("/")[2]): sign for key, sign in signs})

    def _check(self, signs: dict[int, str]) -> None:
        """Compare the signs of life with the last ones."""
        now = time.monotonic()
        for index in processes():
            sign = signs.get(index, "")
            if sign.startswith('"'):
                self._report(f"{describe(index)} failed: {json.loads(sign)}", FAILED)
            if sign == _STOPPING:
                self._report(f"{describe(index)} was told to stop")
            last, since = self._seen.get(index, (None, now))
            if sign != last or sign == _DONE:
                self._seen[index] = sign, now
            elif now - since > self.silence:
                self._report(f"{describe(index)} has given no sign of life for {self.silence:.0f} s")

    def _watch_service(self) -> None:
        """Watch over the other thread, which waits if the first process exists but does not answer."""
        while not self._stopped.wait(_INTERVAL):
            if time.monotonic() - self._answered > self.silence:
                self._report(
                    f"{describe(0)}, which coordinates the run, has not answered for {self.silence:.0f} s"
                )
                return

    def _report(self, sentence: str, status: int = TRY_AGAIN) -> None:
        if not self._stopped.is_set():
            sys.stdout.flush()
            self._end(f"{sentence} ({describe(process_index())} ends, too).", status)


def _first_line(error: Exception) -> str:
    return str(error).splitlines()[0]
