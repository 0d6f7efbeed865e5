"""Commands as processes that a test watches, interrupts and kills."""

import contextlib
import signal
import socket
import subprocess
import sys
import threading

from launch.common.interrupts import INTERRUPTED, TRY_AGAIN
from tests.support.commands import REPOSITORY, process_environment

# Tests that run in the background ignore SIGINT, and so would their child processes. Resetting it between
# fork and exec in Python would be unsafe, since JAX has threads.
HEEDING_SIGINT = (
    "import os, signal, sys; signal.signal(signal.SIGINT, signal.SIG_DFL); "
    "os.execv(sys.executable, [sys.executable, *sys.argv[1:]])"
)

PATIENCE = 60  # seconds for what takes a fraction of one on an idle machine


def start(*arguments: object, stderr: int = subprocess.PIPE, **environment: str) -> subprocess.Popen[str]:
    """Start Python with arguments, and kill it after ten minutes so that no test hangs."""
    process = subprocess.Popen(
        [sys.executable, "-c", HEEDING_SIGINT, *map(str, arguments)],
        cwd=REPOSITORY,
        env={**process_environment(), **environment},
        stdout=subprocess.PIPE,
        stderr=stderr,
        text=True,
    )
    deadline = threading.Timer(600, process.kill)
    deadline.daemon = True
    deadline.start()
    return process


def free_port() -> int:
    """Return a port at which nothing listens."""
    with contextlib.closing(socket.create_server(("localhost", 0))) as server:
        port: int = server.getsockname()[1]
    return port


def wait_for(process: subprocess.Popen[str], words: str) -> None:
    """Block until a line of stderr contains some words."""
    assert process.stderr is not None
    lines = []
    for line in process.stderr:
        lines.append(line)
        if words in line:
            return
    raise AssertionError("".join(lines))


def outputs(processes: list[subprocess.Popen[str]]) -> list[str]:
    """Wait for all processes, check that each succeeded, and return what they wrote to stdout."""
    ends = [process.communicate(timeout=600) for process in processes]
    for process, (_, errors) in zip(processes, ends, strict=True):
        assert process.returncode == 0, errors
    return [out for out, _ in ends]


def interrupt(process: subprocess.Popen[str], number: signal.Signals = signal.SIGINT) -> str:
    """Send a signal, check how the process ends, and return its last line on stderr."""
    process.send_signal(number)
    stdout, stderr = process.communicate(timeout=PATIENCE)
    assert process.returncode == (INTERRUPTED if number == signal.SIGINT else TRY_AGAIN), stderr
    assert "Traceback" not in stderr
    assert stdout == ""
    return stderr.splitlines()[-1]
