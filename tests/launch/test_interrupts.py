"""Ctrl-C, sent to real processes in every phase of a command."""

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
import threading

import pytest

from flax_googlenet.checkpoints import find_latest
from launch.interrupts import INTERRUPTED
from tests.support.commands import REPOSITORY, TINY, process_environment

# Whoever runs the tests in the background ignores it, and so would the process. To change that between
# fork and exec, Python would have to fork a process with JAX's threads.
HEEDING_SIGINT = (
    "import os, signal, sys; signal.signal(signal.SIGINT, signal.SIG_DFL); "
    "os.execv(sys.executable, [sys.executable, *sys.argv[1:]])"
)

PATIENCE = 60  # seconds, for a busy machine; it is a fraction of one by design


def start(*arguments: object, stderr: int = subprocess.PIPE, **environment: str) -> subprocess.Popen[str]:
    process = subprocess.Popen(
        [sys.executable, "-c", HEEDING_SIGINT, *map(str, arguments)],
        cwd=REPOSITORY,
        env={**process_environment(), **environment},
        stdout=subprocess.PIPE,
        stderr=stderr,
        text=True,
    )
    deadline = threading.Timer(600, process.kill)  # or a failure would be a test that does not end
    deadline.daemon = True
    deadline.start()
    return process


def wait_for(process: subprocess.Popen[str], words: str) -> None:
    assert process.stderr is not None
    seen = []
    for line in process.stderr:
        seen.append(line)
        if words in line:
            return
    raise AssertionError("".join(seen))


def interrupt(process: subprocess.Popen[str]) -> str:
    """Send it and return what the process said then."""
    process.send_signal(signal.SIGINT)
    stdout, said = process.communicate(timeout=PATIENCE)
    assert process.returncode == INTERRUPTED, said
    assert "Traceback" not in said
    assert stdout == ""
    return said.splitlines()[-1]


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
    "opens-what-never-opens": "open(fifo)",
    "waits-for-a-thread-that-does": """
        thread = threading.Thread(target=open, args=(fifo,))
        thread.start()
        thread.join()
        """,
    "is-at-its-end": "threading.Thread(target=open, args=(fifo,)).start()",
}


def start_body(tmp_path: pathlib.Path, body: str) -> subprocess.Popen[str]:
    os.mkfifo(tmp_path / "fifo")
    lines = (
        "import sys, threading, time",
        "from launch import interrupts",
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
def test_ends_a_process_that(tmp_path, body):
    assert interrupt(start_body(tmp_path, body)) == "interrupted: it was in vain"


@pytest.mark.parametrize("outlook", ["time.sleep(1000)", "1 / 0"], ids=["hangs", "fails"])
def test_does_not_depend_on_the_outlook(tmp_path, outlook):
    body = (
        f"interrupts.explain(lambda: {outlook})\nprint('set', file=sys.stderr, flush=True)\ntime.sleep(1000)"
    )
    process = start_body(tmp_path, body)
    wait_for(process, "set")
    assert interrupt(process) == "interrupted"


def test_is_ignored_where_it_was():
    body = """
        import os, signal
        signal.signal(signal.SIGINT, signal.SIG_IGN)
        interrupts.install()
        os.kill(os.getpid(), signal.SIGINT)
        print("goes on")
        """
    process = subprocess.run(
        [sys.executable, "-c", "from launch import interrupts\n" + textwrap.dedent(body)],
        cwd=REPOSITORY,
        capture_output=True,
        text=True,
        check=False,
    )
    assert (process.returncode, process.stdout) == (0, "goes on\n"), process.stderr


def test_forked_children_end_too(tmp_path):
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
def test_before_anything_is_done(tmp_path):
    process = train(tmp_path / "run")
    wait_for(process, "loading JAX")
    assert interrupt(process) == "interrupted: nothing has been done yet"
    assert not (tmp_path / "run").exists()


@pytest.mark.slow
def test_while_xla_compiles(tmp_path):
    process = train(tmp_path, JAX_ENABLE_COMPILATION_CACHE="0")
    wait_for(process, "compiling the training step")
    assert interrupt(process) == "interrupted: there is no checkpoint yet; the same command starts over"


@pytest.mark.slow
@pytest.mark.parametrize("words", ["step 13/40", "step 20/40: loss"], ids=["training", "evaluating"])
def test_goes_on_from_the_step_that_it_says(launch, train_run, tmp_path, words):
    process = train(tmp_path)
    wait_for(process, words)
    said = interrupt(process)
    latest = find_latest(str(tmp_path))
    if latest is None:
        assert "no checkpoint yet" in said
    else:
        assert said == f"interrupted: the same command resumes from step {latest.name}"
    resumed = launch("train", f"--workdir={tmp_path}", *TINY)
    assert (f"resuming at step {latest.name} of" if latest else "training for") in resumed.stderr
    figures = ("step", "top1", "top5", "loss")
    ours, theirs = (json.loads(each.stdout.splitlines()[-1]) for each in (resumed, train_run))
    assert [ours[name] for name in figures] == [theirs[name] for name in figures]


@pytest.mark.slow
def test_a_complete_run_is_not_said_to_go_on(trained, monkeypatch):
    from launch import train as command

    class Workdir:
        value = str(trained)

    monkeypatch.setattr(command, "_WORKDIR", Workdir)
    assert command.after_interruption() == "the run is complete; the same command prints its result"


@pytest.mark.slow
def test_a_data_set_half_made(launch, imagenet_tars, tmp_path):
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
def test_leaves_the_bar_on_its_line(trained, tmp_path, name, arguments, bar):
    given = [each.format(trained=trained, new=tmp_path) for each in arguments]
    terminal = Terminal(name, given)
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
def test_shows_a_bar_on_a_terminal(trained, name, arguments, bar):
    terminal = Terminal(name, [f"--checkpoint={trained}", *arguments])
    shown = terminal.wait_for_end()
    assert terminal.process.returncode == 0, shown
    assert re.search(bar, shown), shown


class Terminal:
    """A command with a terminal for its stderr, and what that shows."""

    def __init__(self, name: str, arguments: list[str]) -> None:
        self._screen, theirs = pty.openpty()
        termios.tcsetwinsize(theirs, (24, 100))
        self.shown = ""
        self.process = start("-m", f"launch.{name}", *arguments, stderr=theirs)
        os.close(theirs)

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
            more = os.read(self._screen, 1 << 16)
        except OSError:  # which is how it ends
            return False
        self.shown += more.decode(errors="replace")
        return bool(more)
