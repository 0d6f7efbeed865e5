"""Ctrl-C and the notices of schedulers, sent to real processes in every phase of a command."""

import json
import os
import pathlib
import pty
import re
import signal
import subprocess
import sys
import termios
import textwrap
import time

import pytest

from flax_googlenet.distributed import watchdog
from launch.common import interrupts
from launch.common.interrupts import INTERRUPTED
from tests.support.commands import REPOSITORY, TINY
from tests.support.processes import PATIENCE, interrupt, start, wait_for

BODIES = {
    "computes": "while True: pass",
    "sleeps": "time.sleep(1000)",
    "catches-everything": """
        while True:
            try:
                time.sleep(1000)
            except BaseException:
                pass
        """,
    "opens-a-fifo": "open(fifo)",
    "waits-for-a-thread-that-opens-a-fifo": """
        thread = threading.Thread(target=open, args=(fifo,))
        thread.start()
        thread.join()
        """,
    "is-exiting": "threading.Thread(target=open, args=(fifo,)).start()",
}


def start_body(tmp_path: pathlib.Path, body: str) -> subprocess.Popen[str]:
    os.mkfifo(tmp_path / "fifo")
    lines = (
        "import sys, threading, time",
        "from launch.common import interrupts",
        "interrupts.install()",
        "interrupts.explain(lambda: 'it was in vain')",
        f"fifo = {str(tmp_path / 'fifo')!r}",
        "print('ready', file=sys.stderr, flush=True)",
        textwrap.dedent(body),
    )
    process = start("-c", "\n".join(lines))
    wait_for(process, "ready")
    return process


@pytest.mark.parametrize("body", BODIES.values(), ids=BODIES)
def test_ctrl_c_ends_a_process_that(tmp_path, body):
    assert interrupt(start_body(tmp_path, body)) == "interrupted: it was in vain"


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGUSR1])
def test_a_notice_ends_a_process_that_loses_nothing(tmp_path, number):
    assert interrupt(start_body(tmp_path, BODIES["computes"]), number) == "stopped: it was in vain"


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGUSR1])
def test_a_notice_does_not_replace_the_status_of_a_process_that_has_done_its_work(number):
    lines = (
        "import atexit, sys, time",
        # The last one to run, since it is the first one registered.
        "atexit.register(lambda: (print('leaving', file=sys.stderr, flush=True), time.sleep(1)))",
        "from launch.common import interrupts",
        "interrupts.install()",
        "sys.exit(3)",
    )
    process = start("-c", "\n".join(lines))
    wait_for(process, "leaving")
    process.send_signal(number)
    process.communicate(timeout=PATIENCE)
    assert process.returncode == 3


SETTLED = """
print("set", file=sys.stderr, flush=True)
while True: pass
"""

GOES_ON = (
    """
interrupts.on_notice(lambda: 7.2)
interrupts.SAME_NOTICE = {same}
"""
    + SETTLED
)


@pytest.mark.parametrize("second", [signal.SIGTERM, signal.SIGUSR1, signal.SIGINT])
def test_after_a_notice_a_process_may_go_on_until_a_second_signal(tmp_path, second):
    process = start_body(tmp_path, GOES_ON.format(same=0.0))
    wait_for(process, "set")
    process.send_signal(signal.SIGTERM)
    wait_for(
        process, "SIGTERM: stopping within about 7 s to save; a second signal after 0 s, or Ctrl-C, ends at"
    )
    end = "interrupted" if second == signal.SIGINT else "stopped"
    assert interrupt(process, second) == f"{end}: it was in vain"


def test_a_notice_that_slurm_sends_twice_is_one(tmp_path):
    process = start_body(tmp_path, GOES_ON.format(same=1e6))
    wait_for(process, "set")
    process.send_signal(signal.SIGTERM)
    wait_for(process, "SIGTERM: stopping")
    process.send_signal(signal.SIGTERM)
    # Of two pending signals, the kernel delivers SIGINT first. The second SIGTERM must have had its chance.
    wait_for_delivery(process)
    assert interrupt(process, signal.SIGINT) == "interrupted: it was in vain"


@pytest.mark.parametrize("first", [signal.SIGINT, signal.SIGTERM])
def test_a_second_notice_does_not_cut_the_outlook_short(tmp_path, first):
    """Slurm sends two, and may do so while a process that loses nothing says what it would do."""
    process = start_body(tmp_path, "interrupts.explain(lambda: time.sleep(0.5) or 'it was slow')\n" + SETTLED)
    wait_for(process, "set")
    process.send_signal(first)
    wait_for_delivery(process)
    process.send_signal(signal.SIGTERM)
    end = "interrupted" if first == signal.SIGINT else "stopped"
    assert process.communicate(timeout=PATIENCE)[1].splitlines()[-1] == f"{end}: it was slow"


def wait_for_delivery(process: subprocess.Popen[str]) -> None:
    """Wait until no signal is pending for the process."""
    while pending(process):
        time.sleep(0.01)


def pending(process: subprocess.Popen[str]) -> int:
    status = pathlib.Path(f"/proc/{process.pid}/status").read_text()
    return int(re.search(r"^ShdPnd:\s*(\w+)$", status, re.MULTILINE).group(1), 16)


def test_the_status_after_a_notice_is_that_of_a_process_that_ends_because_of_another():
    assert interrupts.TRY_AGAIN == watchdog.TRY_AGAIN


@pytest.mark.parametrize("outlook", ["time.sleep(1000)", "1 / 0"], ids=["hangs", "fails"])
def test_ctrl_c_ends_a_process_whose_outlook(tmp_path, outlook):
    body = (
        f"interrupts.explain(lambda: {outlook})\nprint('set', file=sys.stderr, flush=True)\ntime.sleep(1000)"
    )
    process = start_body(tmp_path, body)
    wait_for(process, "set")
    assert interrupt(process) == "interrupted"


def test_an_ignored_sigint_stays_ignored():
    body = """
        import os, signal
        signal.signal(signal.SIGINT, signal.SIG_IGN)
        interrupts.install()
        os.kill(os.getpid(), signal.SIGINT)
        print("not interrupted")
        """
    process = subprocess.run(
        [sys.executable, "-c", "from launch.common import interrupts\n" + textwrap.dedent(body)],
        cwd=REPOSITORY,
        capture_output=True,
        text=True,
        check=False,
    )
    assert (process.returncode, process.stdout) == (0, "not interrupted\n"), process.stderr


def test_sigint_ends_forked_children(tmp_path):
    body = """
        import os, signal
        ready, begun = os.pipe()
        child = os.fork()
        if not child:
            os.write(begun, b"!")
            time.sleep(1000)
        os.read(ready, 1)
        os.kill(child, signal.SIGINT)
        status = os.waitpid(child, 0)[1]
        print(os.WTERMSIG(status), file=sys.stderr, flush=True)
        time.sleep(1000)
        """
    process = start_body(tmp_path, body)
    wait_for(process, str(signal.SIGINT.value))
    interrupt(process)


def train(workdir: pathlib.Path, **environment: str) -> subprocess.Popen[str]:
    return start("-m", "launch.train", f"--workdir={workdir}", *TINY, **environment)


@pytest.mark.slow
def test_ctrl_c_while_the_command_is_imported(tmp_path):
    process = train(tmp_path / "run")
    wait_for(process, "loading JAX")
    assert interrupt(process) == "interrupted: nothing has been done yet"
    assert not (tmp_path / "run").exists()


@pytest.mark.slow
def test_ctrl_c_while_xla_compiles(tmp_path):
    process = train(tmp_path, JAX_ENABLE_COMPILATION_CACHE="0")
    wait_for(process, "compiling the training step")
    assert interrupt(process) == "interrupted: there is no checkpoint yet; the same command starts over"


@pytest.mark.slow
def test_the_outlook_of_a_complete_run_is_its_result(trained, monkeypatch):
    from launch import train as command

    class Workdir:
        value = str(trained)

    monkeypatch.setattr(command, "_WORKDIR", Workdir)
    assert command.after_interruption() == "the run is complete; the same command prints its result"


@pytest.mark.slow
def test_a_data_set_is_completed_after_ctrl_c(launch, imagenet_tars, tmp_path):
    arguments = ("--dataset=imagenet2012", f"--manual_dir={imagenet_tars}", f"--data_dir={tmp_path}")
    process = start("-m", "launch.prepare", *arguments)
    wait_for(process, "preparing imagenet2012")
    assert interrupt(process) == "interrupted: the same command resumes with the files that are missing"
    again = launch("prepare", *arguments)
    assert json.loads(again.stdout.splitlines()[-1])["splits"] == {"train": 32, "validation": 10}


@pytest.mark.slow
@pytest.mark.parametrize(
    ("name", "arguments", "bar"),
    [
        pytest.param("evaluate", ["--checkpoint={trained}", "--crops=144"], "evaluating:", id="evaluate"),
        pytest.param(
            "predict", ["--checkpoint={trained}", *["docs/seven.png"] * 20_000], "predicting:", id="predict"
        ),
        pytest.param("check_data", ["--config.data.workers=1"], "reading:", id="check_data"),
        pytest.param("train", ["--workdir={new}", *TINY], "1/40", id="train"),
    ],
)
def test_ctrl_c_keeps_the_line_of_the_progress_bar(trained, tmp_path, name, arguments, bar):
    terminal = Terminal(name, [argument.format(trained=trained, new=tmp_path) for argument in arguments])
    terminal.wait_for(bar)
    terminal.process.send_signal(signal.SIGINT)
    *_, before, last, nothing = terminal.wait_for_end().split("\r\n")
    assert terminal.process.returncode == INTERRUPTED, last
    assert bar in terminal.shown
    assert "Traceback" not in terminal.shown
    assert re.match("interrupted: .* the same command|interrupted: the same command", last), (before, last)
    assert nothing == ""


@pytest.mark.slow
@pytest.mark.parametrize(
    ("name", "arguments", "bar"),
    [
        pytest.param("evaluate", [], r"evaluating: 100%.* 1000/1000", id="evaluate"),
        pytest.param(
            "predict", ["docs/seven.png", "docs/seven.png"], r"predicting: 100%.* 2/2", id="predict"
        ),
    ],
)
def test_a_terminal_shows_a_progress_bar(trained, name, arguments, bar):
    terminal = Terminal(name, [f"--checkpoint={trained}", *arguments])
    shown = terminal.wait_for_end()
    assert terminal.process.returncode == 0, shown
    assert re.search(bar, shown), shown


class Terminal:
    """A command with a terminal as its stderr, and the text on that terminal."""

    def __init__(self, name: str, arguments: list[str]) -> None:
        self._screen, stderr = pty.openpty()
        termios.tcsetwinsize(stderr, (24, 100))
        self.shown = ""
        self.process = start("-m", f"launch.{name}", *arguments, stderr=stderr)
        os.close(stderr)

    def wait_for(self, words: str) -> None:
        while words not in self.shown:
            assert self._read(), self.shown

    def wait_for_end(self) -> str:
        while self._read():
            pass
        os.close(self._screen)
        self.process.communicate(timeout=PATIENCE)
        return self.shown

    def _read(self) -> bool:
        try:
            text = os.read(self._screen, 1 << 16)
        except OSError:  # the end of a terminal
            return False
        self.shown += text.decode(errors="replace")
        return bool(text)
