"""One start of a training: its processes, and the phase they are in."""

import contextlib
import dataclasses
import json
import os
import pathlib
import re
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterable
from typing import Any

from benchmarks.conditions import REPOSITORY

POLL = 0.005  # seconds between two looks at a run

_RESUMED = re.compile(r"resuming at step (\d+) of|training for (\d+) steps")
_STEP = re.compile(r"step (\d+)/(\d+): loss|stopping after step (\d+)")


@dataclasses.dataclass
class Progress:
    """What the log of the first process says.

    Attributes:
      evaluate_every: steps between two evaluations.
      phase: "start-up", "compilation", "steps" or "evaluation"; saves run beside the last two.
      since: when the phase began, by `time.monotonic`.
      first: step at which the attempt began; None until it is known.
      step: number of updates made in this attempt and before.
      is_complete: whether there was nothing left to do.
      seconds: how long each phase has lasted.
    """

    evaluate_every: int
    phase: str = "start-up"
    since: float = dataclasses.field(default_factory=time.monotonic)
    first: int | None = None
    step: int = 0
    is_complete: bool = False
    seconds: dict[str, float] = dataclasses.field(default_factory=dict)

    def read(self, line: str) -> None:
        """Follow the log by a line."""
        if match := _RESUMED.match(line):
            self.first = self.step = int(match[1] or 0)
        elif line.startswith("compiling the training step"):
            self._enter("compilation")
        elif line.startswith("compiled the training step"):
            self._enter("steps")
        elif match := _STEP.match(line):
            self.step = int(match[1] or match[3])
            if match[1] and (self.step % self.evaluate_every == 0 or match[1] == match[2]):
                self._enter("evaluation")
        elif ": evaluated " in line:
            self._enter("steps")
        elif line.rstrip().endswith(" is complete."):
            self.is_complete = True

    def _enter(self, phase: str) -> None:
        now = time.monotonic()
        self.seconds[self.phase] = now - self.since
        self.phase, self.since = phase, now


class Attempt:
    """The processes of a training, from one start to their end.

    Attributes:
      progress: what the first process logs.
      lines: stderr of each process.
      started: when the processes were started, by `time.monotonic`.
    """

    def __init__(
        self,
        arguments: Iterable[str],
        *,
        hosts: int,
        workdir: pathlib.Path,
        compiled: pathlib.Path,
        evaluate_every: int,
        module: str,
        devices: int = 2,
    ) -> None:
        """Start a training.

        Args:
          arguments: flags that all processes get.
          hosts: number of processes.
          workdir: directory of the run.
          compiled: directory of the compilation cache.
          evaluate_every: steps between two evaluations.
          module: `launch.train`, or a module that takes its flags.
          devices: number of devices of all processes together.
        """
        self.workdir = workdir
        self.progress = Progress(evaluate_every)
        self.lines: list[list[str]] = [[] for _ in range(hosts)]
        self.started = time.monotonic()
        self._stdout: list[str] = []
        command = [sys.executable, "-m", module, f"--workdir={workdir}", *arguments]
        command.append(f"--compilation_cache={compiled}")
        addresses: list[list[str]] = [[]]
        if hosts > 1:
            port = _free_port()
            addresses = [
                [f"--coordinator=localhost:{port}", f"--num_processes={hosts}", f"--process_id={host}"]
                for host in range(hosts)
            ]
        self.processes = [
            subprocess.Popen(
                command + address,
                cwd=REPOSITORY,
                env=_environment(devices // hosts),
                stdout=subprocess.PIPE,
                stderr=subprocess.PIPE,
                text=True,
            )
            for address in addresses
        ]
        readers = [(self._read_log, (host,)) for host in range(hosts)]
        readers += [(self._read_results, (host,)) for host in range(hosts)]
        self._threads = [
            threading.Thread(target=target, args=arguments, daemon=True) for target, arguments in readers
        ]
        for thread in self._threads:
            thread.start()

    def _read_log(self, host: int) -> None:
        stream = self.processes[host].stderr
        assert stream is not None
        for line in stream:
            self.lines[host].append(line)
            if host == 0:
                self.progress.read(line)

    def _read_results(self, host: int) -> None:
        stream = self.processes[host].stdout
        assert stream is not None
        self._stdout += stream

    @property
    def phase(self) -> str:
        """The phase of the run, "save" included."""
        if self.progress.phase in ("steps", "evaluation") and self.is_saving():
            return "save"
        return self.progress.phase

    def is_saving(self) -> bool:
        """Return whether a checkpoint is being written. A killed attempt leaves one until the next start."""
        return any((self.workdir / "checkpoints").glob("*.orbax-checkpoint-tmp*"))

    def wait_until(self, condition: Callable[[], bool]) -> bool:
        """Return True as soon as a condition holds, or False if a process ends before."""
        while not condition():
            if any(process.poll() is not None for process in self.processes):
                return False
            time.sleep(POLL)
        return True

    def send(self, number: signal.Signals, victims: Iterable[int]) -> None:
        """Send a signal to some of the processes."""
        for host in victims:
            with contextlib.suppress(ProcessLookupError):
                self.processes[host].send_signal(number)

    def wait(self, seconds: float, hosts: Iterable[int] | None = None) -> list[int | None]:
        """Wait for the end of some processes, by default of all, and return their exit statuses.

        The status of a process that does not end in time is None.
        """
        end = time.monotonic() + seconds
        statuses: list[int | None] = []
        for process in self.processes if hosts is None else [self.processes[host] for host in hosts]:
            try:
                statuses.append(process.wait(max(0.01, end - time.monotonic())))
            except subprocess.TimeoutExpired:
                statuses.append(None)
        return statuses

    def end(self) -> None:
        """Kill what is left of the attempt, and read its output to the end."""
        for process in self.processes:
            if process.poll() is None:
                process.kill()
            process.wait()
        for thread in self._threads:
            thread.join()

    def result(self) -> dict[str, Any]:
        """Return the result that the first process printed, after `end`."""
        result: dict[str, Any] = json.loads(self._stdout[-1])
        return result

    def log(self) -> str:
        """Return the last lines of all processes."""
        return "".join(
            f"process {host}: {line}" for host, lines in enumerate(self.lines) for line in lines[-5:]
        )


def _environment(devices: int) -> dict[str, str]:
    flags = f"{os.environ.get('XLA_FLAGS', '')} --xla_force_host_platform_device_count={devices}"
    return {**os.environ, "JAX_PLATFORMS": "cpu", "XLA_FLAGS": flags, "PYTHONWARNINGS": "ignore"}


def _free_port() -> int:
    """Return a port at which nothing listens."""
    with contextlib.closing(socket.create_server(("localhost", 0))) as server:
        port: int = server.getsockname()[1]
    return port
