"""Disks that fill up or go away under a run, and two runs in one workdir."""

import contextlib
import json
import os
import pathlib
import re
import shlex
import shutil
import signal
import socket
import subprocess
import sys
import threading

import pytest

from flax_googlenet import checkpoints
from tests.launch.common.test_cluster import ends, start_hosts
from tests.support.commands import REPOSITORY, TINY, error_of, process_environment, run_module
from tests.support.processes import start, wait_for

pytestmark = [pytest.mark.slow, pytest.mark.usefixtures("quick_to_compile")]

# Checkpoints of 45 MB, of which two fit on a disk of 110 MB beside the events.
RUN = (
    *TINY,
    "--config.model.aux_heads=0",
    "--config.duration=6 steps",
    "--config.schedule.warmup=2 steps",
    "--config.evaluation.every=6 steps",
    "--config.checkpoint.every=2 steps",
)
SMALL = "size=110m"


def on_tmpfs(directory: pathlib.Path, script: str) -> list[str]:
    """Return a command that runs a script where `directory` is a small tmpfs that nobody else sees.

    It needs no privileges: in a user namespace everybody may mount a tmpfs.
    """
    mount = f"mount -t tmpfs -o {SMALL} tmpfs {shlex.quote(str(directory))}"
    return ["unshare", "--user", "--map-root-user", "--mount", "sh", "-c", f"set -e; {mount}; {script}"]


def train(workdir: pathlib.Path, *arguments: str) -> str:
    return shlex.join([sys.executable, "-m", "launch.train", f"--workdir={workdir}", *RUN, *arguments])


def verify(workdir: pathlib.Path) -> str:
    return shlex.join([sys.executable, "-m", "launch.checkpoint", "verify", f"--workdir={workdir}"])


def steps(line: str) -> list[int]:
    return [checkpoint["step"] for checkpoint in json.loads(line)["checkpoints"]]


def test_a_full_disk_stops_the_run_and_leaves_the_last_checkpoint(tmp_path):
    """Once there is room, the same command resumes from it."""
    workdir = tmp_path / "run"
    script = (
        f"! {train(workdir)}; ls {workdir}/checkpoints >&2; {verify(workdir)}; "
        f"mount -o remount,size=400m {tmp_path}; {train(workdir)}"
    )
    process = subprocess.run(
        on_tmpfs(tmp_path, script),
        cwd=REPOSITORY,
        env=process_environment(),
        capture_output=True,
        text=True,
        check=False,
        timeout=600,
    )
    assert process.returncode == 0, process.stderr
    assert "error: " in process.stderr, process.stderr
    first, second = process.stderr.split("error: ", 1)
    assert "training for 6 steps" in first
    sentence, *rest = second.splitlines()
    assert sentence.startswith(f"Cannot write to {workdir}/checkpoints, because its disk is full: ")
    assert sentence.endswith(" MB are free; make room and start again.")
    assert rest[:2] == ["2", "4"], "nothing else is in checkpoints"
    assert "resuming at step 4 of 6" in second
    verified, result = process.stdout.splitlines()
    assert steps(verified) == [2, 4]
    assert json.loads(result)["step"] == 6


def test_a_run_continues_past_a_full_disk_until_there_is_room(tmp_path):
    workdir = tmp_path / "run"
    run = train(workdir, "--config.checkpoint.on_full_disk=continue")
    script = f"head -c 50M /dev/zero > {tmp_path}/ballast; {run}; {verify(workdir)}"
    command = on_tmpfs(tmp_path, script)
    with subprocess.Popen(
        command,
        cwd=REPOSITORY,
        env=process_environment(),
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    ) as process:
        assert process.stderr is not None
        deadline = threading.Timer(600, process.kill)
        deadline.start()
        with contextlib.closing(process.stderr):
            wait_for(process, "MB are free; step 4 is not saved, and training continues")
            (pathlib.Path(f"/proc/{process.pid}/root") / str(tmp_path / "ballast").lstrip("/")).unlink()
            stdout, _ = process.communicate()
        deadline.cancel()
    assert process.returncode == 0
    result, verified = stdout.splitlines()
    assert json.loads(result)["checkpoint"] == f"{workdir}/checkpoints/6"
    assert steps(verified)[-1] == 6
    assert 4 not in steps(verified)


def test_a_workdir_on_a_file_system_that_takes_no_files(tmp_path):
    workdir = tmp_path / "run"
    script = f"mount -o remount,ro {tmp_path}; {train(workdir)}"
    process = subprocess.run(
        on_tmpfs(tmp_path, script),
        cwd=REPOSITORY,
        env=process_environment(),
        capture_output=True,
        text=True,
        check=False,
        timeout=600,
    )
    words = f"Cannot write to the workdir {workdir}: Read-only file system; choose another workdir."
    assert words in error_of(process)


def test_a_workdir_that_is_deleted_under_a_run(tmp_path):
    workdir = tmp_path / "run"
    process = start("-m", "launch.train", f"--workdir={workdir}", *RUN, "--config.duration=400 steps")
    wait_for(process, "saving step 2")
    shutil.rmtree(workdir, ignore_errors=True)
    _, stderr = process.communicate(timeout=600)
    assert process.returncode == 1, stderr
    # The save that was under way finds out, or the next one. Its threads may print tracebacks, also in the
    # line of the sentence.
    (sentence,) = re.findall("error: .*", stderr)
    assert str(workdir) in sentence
    assert "while this run wrote to it; start the run again in a directory that stays." in sentence


def test_a_second_run_is_refused_and_a_killed_one_blocks_nobody(tmp_path):
    """The second run may be one of several processes."""
    arguments = (f"--workdir={tmp_path / 'run'}", *RUN, "--config.checkpoint.every=4 steps")
    first = start("-m", "launch.train", *arguments)
    wait_for(first, "training for 6 steps")
    first.send_signal(signal.SIGSTOP)
    owner = f"Process {first.pid} on {socket.gethostname()}, which started at 20"
    assert owner in error_of(run_module("launch.train", *arguments))
    for (_, stderr), status in ends(start_hosts(*arguments)):
        assert status == 1, stderr
        assert owner in stderr
    first.send_signal(signal.SIGKILL)
    first.communicate()
    os.truncate(tmp_path / "run/.owner.json", 10)
    again = run_module("launch.train", *arguments)
    assert again.returncode == 0, again.stderr
    assert checkpoints.find(tmp_path / "run").name == "6"
