"""Runs of several processes, as a user starts them."""

import json
import re
import signal
import socket

import numpy as np
import pytest

import flax_googlenet
from flax_googlenet import checkpoints
from flax_googlenet.distributed.watchdog import TRY_AGAIN
from tests.support.commands import TINY, error_of, read_metrics, result_of, run_module
from tests.support.processes import free_port, start, wait_for

pytestmark = pytest.mark.slow

SMALL = "tests.distributed.small_train"  # launch.train with a small network, which compiles in seconds

SHORT = (
    *TINY,
    "--config.duration=8 steps",
    "--config.schedule.warmup=2 steps",
    "--config.evaluation.every=8 steps",
    "--config.checkpoint.every=4 steps",
    "--config.model.aux_heads=0",
)


def start_hosts(*arguments, hosts=2, of_each=((), ()), module="launch.train"):
    """Start a command in several processes; `of_each` has more arguments of each."""
    port = free_port()
    return [
        start(
            *("-m", module, *arguments, *of_each[host]),
            *(f"--coordinator=localhost:{port}", f"--num_processes={hosts}", f"--process_id={host}"),
        )
        for host in range(hosts)
    ]


def ends(processes):
    """Wait for processes, and return the status, stdout and stderr of each."""
    return [(process.communicate(timeout=600), process.returncode) for process in processes]


@pytest.mark.usefixtures("quick_to_compile")
def test_two_hosts_train_as_one_does(tmp_path):
    alone = result_of(run_module("launch.train", *SHORT, f"--workdir={tmp_path / 'one'}", devices=2))
    (first, second) = ends(start_hosts(*SHORT, f"--workdir={tmp_path / 'two'}"))
    (stdout, stderr), status = first
    assert status == 0, stderr
    assert second[1] == 0, second[0][1]
    assert second[0][0].strip() == "" or "{" not in second[0][0], "only the first process prints the result"
    result = json.loads(stdout.splitlines()[-1])
    assert "8 steps of 16 images on 2 x cpu of 2 processes" in stderr
    assert result["step"] == alone["step"]
    # The gradients of the devices are summed in another order, and the network amplifies the difference.
    one, two = (
        np.array([record["train/loss"] for record in read_metrics(tmp_path / name) if "train/loss" in record])
        for name in ("one", "two")
    )
    assert len(one) == 8
    np.testing.assert_allclose(two, one, rtol=1e-4)
    logs = [(tmp_path / f"two/logs/process_{host}.log").read_text() for host in range(2)]
    assert [log.count("step 8/8: loss") for log in logs] == [1, 1], "each process has its own"
    # The same commands resume, and find the run complete.
    again = ends(start_hosts(*SHORT, f"--workdir={tmp_path / 'two'}"))
    assert json.loads(again[0][0][0].splitlines()[-1]) == result
    evaluated = ends(start_hosts(f"--checkpoint={tmp_path / 'two'}", module="launch.evaluate"))
    figures = json.loads(evaluated[0][0][0].splitlines()[-1])
    assert figures["top1"] == result["top1"]
    assert figures["loss"] == pytest.approx(result["loss"], rel=1e-6)
    assert flax_googlenet.load(tmp_path / "two").step == 8


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ("--config.seed=1", "differ in config.seed, which is 0 and 1; start all processes with the same"),
        ("--workdir=elsewhere", "differ in the workdir, which is '"),
    ],
)
def test_processes_that_differ_are_refused(arguments, words, tmp_path):
    hosts = start_hosts(*SHORT, f"--workdir={tmp_path / 'run'}", of_each=((), (arguments,)))
    for (stdout, stderr), status in ends(hosts):
        assert status == 1, stderr
        assert "Traceback" not in stderr
        assert words in stderr
        assert "{" not in stdout
    assert not (tmp_path / "run").exists()


def test_when_one_process_fails_the_others_end_and_say_why(tmp_path):
    arguments = (*SHORT, f"--workdir={tmp_path / 'run'}", "--config.data.source=image_folder")
    images = tmp_path / "images"
    of_each = ((f"--config.data.path={tmp_path}",), (f"--config.data.path={images}",))
    (_, first), (_, second) = hosts = ends(start_hosts(*arguments, of_each=of_each))
    assert {first, second} <= {1, TRY_AGAIN}
    assert 1 in {first, second}
    for (_, stderr), _ in hosts:
        assert "error: " in stderr
        assert "Traceback" not in stderr


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGSTOP])
@pytest.mark.parametrize("host", [0, 1])
def test_a_process_that_dies_or_stops_ends_the_others(number, host, tmp_path):
    arguments = (*SHORT, f"--workdir={tmp_path / 'run'}", "--config.duration=100000 steps")
    hosts = start_hosts(*arguments, "--silence_timeout=10", module=SMALL)
    wait_for(hosts[0], "step 5")
    hosts[host].send_signal(number)
    survivor = hosts[1 - host]
    _, stderr = survivor.communicate(timeout=300)
    hosts[host].kill()
    hosts[host].communicate(timeout=60)
    name = f"process {host} on {socket.gethostname()}"
    if (host, number) == (0, signal.SIGKILL) and survivor.returncode != TRY_AGAIN:
        # JAX sometimes notices the end of its service first, and aborts.
        assert survivor.returncode == -signal.SIGABRT
        assert "Thread 0x" not in stderr, "Python prints no stacks of threads that run on, which can crash"
        return
    assert survivor.returncode == TRY_AGAIN, stderr
    # The sentence of the watchdog, or the error of JAX if that came first.
    assert re.search("DEBUG error: |failed: ", (tmp_path / f"run/logs/process_{1 - host}.log").read_text())
    assert re.search(rf"error: {name}.* has (given no sign of life|not answered)|cannot be reached", stderr)


def test_a_notice_to_one_process_stops_all_at_the_same_step(tmp_path):
    arguments = (
        *SHORT,
        "--config.log_every=3 steps",
        "--config.duration=900 steps",
        f"--workdir={tmp_path}",
    )
    hosts = start_hosts(*arguments, module=SMALL)
    wait_for(hosts[0], "step 3/")
    hosts[1].send_signal(signal.SIGTERM)
    outlooks = []
    for (stdout, stderr), status in ends(hosts):
        assert status == TRY_AGAIN, stderr
        assert stdout.strip() == "" or "{" not in stdout
        outlooks.append(stderr.splitlines()[-1])
    (step,) = set(re.findall(r"stopped: the same command resumes from step (\d+)", "\n".join(outlooks)))
    assert len(outlooks) == 2
    again = start_hosts(*arguments, module=SMALL)
    wait_for(again[0], f"resuming at step {step} of 900 steps")
    for process in again:
        process.send_signal(signal.SIGTERM)  # before or after the first step
    assert [status for _, status in ends(again)] == [TRY_AGAIN, TRY_AGAIN]
    checkpoint = checkpoints.find(tmp_path)
    checkpoints.verify_digests(checkpoint)
    recorded = checkpoints.describe(checkpoint)
    assert recorded.step >= int(step)
    reported = [record["step"] for record in recorded.history if "train/loss" in record]
    assert recorded.step - len(recorded.unreported) == max(reported)


@pytest.mark.parametrize("host", [0, 1])
def test_a_notice_to_one_process_before_the_training_ends_all(host, tmp_path):
    hosts = start_hosts(*SHORT, f"--workdir={tmp_path / 'run'}")
    wait_for(hosts[0], "compiling the training step")
    hosts[host].send_signal(signal.SIGTERM)
    ended = ends(hosts)
    stopped, other = ended[host], ended[1 - host]
    assert (stopped[1], other[1]) == (TRY_AGAIN, TRY_AGAIN), (stopped, other)
    assert "stopped: there is no checkpoint yet; the same command starts over" in stopped[0][1]
    assert f"process {host} on {socket.gethostname()} was told to stop" in other[0][1]


def test_a_coordinator_that_does_not_answer_is_named(tmp_path):
    port = free_port()
    process = run_module(
        "launch.train",
        f"--workdir={tmp_path}",
        *(f"--coordinator=localhost:{port}", "--num_processes=2", "--process_id=1", "--start_timeout=3"),
    )
    assert f"did not find each other at localhost:{port} within 3 s" in error_of(process, TRY_AGAIN)


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["--coordinator=a:1"], "There is no --num_processes and no --process_id; "),
        (["--process_id=1"], "There is no --coordinator and no --num_processes; "),
        (["--coordinator=a", "--num_processes=2", "--process_id=0"], 'is "a"; write HOST:PORT'),
        (
            ["--coordinator=a:1", "--num_processes=2", "--process_id=2"],
            "must be below --num_processes, which is 2",
        ),
    ],
)
def test_incomplete_flags_are_refused(run_here, arguments, words, tmp_path):
    assert words in error_of(run_here("train", f"--workdir={tmp_path}", *arguments))
