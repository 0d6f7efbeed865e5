"""`--survive_lost_processes`: real processes, of which some are killed."""

import json
import shutil
import signal

import jax
import numpy as np
import pytest

from benchmarks.chaos.outcome import read_trees
from flax_googlenet.checkpoints import find_latest
from flax_googlenet.checkpoints.integrity import verify_digests
from tests.support import QUICK_TO_COMPILE
from tests.support.commands import read_metrics
from tests.support.processes import free_port, start, wait_for

pytestmark = pytest.mark.slow

STEPS = 12
CONFIG = {
    "batch_size": 12,  # divisible by three devices and by two
    "duration": f"{STEPS} steps",
    "data.image_size": 32,
    "data.resize": 36,
    "data.workers": 1,
    "schedule.warmup": "2 steps",
    "averaging.kind": "ema",
    "evaluation.every": "4 steps",
    "checkpoint.every": "2 steps",
    "checkpoint.keep_last": 6,
    "log_every": "1 step",
}


def begin(workdir, processes, lost=None, **changes):
    """Start a run, and return its processes.

    Args:
      lost: where a process kills itself, by its number.
      changes: values of the config, with two underscores for a dot.
    """
    config = {**CONFIG, **{name.replace("__", "."): value for name, value in changes.items()}}
    common = [f"--config.{key}={value}" for key, value in config.items()]
    common += [f"--workdir={workdir}", "--silence_timeout=5", "--survive_lost_processes"]
    port = free_port()
    cluster = (
        [f"--coordinator=localhost:{port}", f"--num_processes={processes}", f"--process_id={process}"]
        for process in range(processes)
    )
    return [
        start(
            "-m",
            "tests.distributed.small_train",
            *common,
            *own,
            XLA_FLAGS=QUICK_TO_COMPILE,
            LOST=(lost or {}).get(index, ""),
        )
        for index, own in enumerate(cluster)
    ]


def end(processes):
    """Return the output and the exit status of each process."""
    ends = [process.communicate(timeout=600) for process in processes]
    return [(out, errors, process.returncode) for (out, errors), process in zip(ends, processes, strict=True)]


def losses_of(workdir):
    return [
        (record["step"], record["train/loss"]) for record in read_metrics(workdir) if "train/loss" in record
    ]


def resume(workdir, step, copy, processes):
    """Resume a copy of a run from one of its checkpoints, and return the losses and the evaluations."""
    shutil.copytree(workdir / "checkpoints" / str(step), copy / "checkpoints" / str(step))
    for _, errors, status in end(begin(copy, processes)):
        assert status == 0, errors
    return losses_of(copy), read_trees(find_latest(copy))


def test_going_on_gives_the_bits_of_a_restart_from_the_last_step(tmp_path):
    workdir = tmp_path / "run"
    # The evaluation after step 8 is not the first one of two processes, for which they compile.
    first, second, third = end(begin(workdir, 3, {2: "train:3", 1: "evaluate:8"}))
    assert third[2] == -signal.SIGKILL
    assert second[2] == -signal.SIGKILL
    out, errors, status = first
    assert status == 0, errors
    assert "was lost; 2 of the processes go on. They go on after step 2." in errors
    assert "was lost; 1 of the processes go on. They go on after step 8." in errors
    result = json.loads(out.splitlines()[-1])
    assert (result["goodput"]["attempts"], result["goodput"]["steps_redone"]) == (3, 0)

    losses = losses_of(workdir)
    assert [step for step, _ in losses] == list(range(1, STEPS + 1))
    evaluated = [record["step"] for record in read_metrics(workdir) if "val/top1" in record]
    assert evaluated == [4, 8, 12]
    of_two, _ = resume(workdir, 2, tmp_path / "two", 2)
    assert losses[:8] == of_two[:8]
    of_one, trees = resume(workdir, 8, tmp_path / "one", 1)
    assert losses == of_one
    expected, actual = (jax.tree.leaves_with_path(tree) for tree in (trees, read_trees(find_latest(workdir))))
    assert len(expected) > 100
    for (path, leaf), (_, other) in zip(expected, actual, strict=True):
        np.testing.assert_array_equal(leaf, other, err_msg=jax.tree_util.keystr(path))


def test_the_processes_that_are_left_can_be_preempted(tmp_path):
    """The lost one was only stopped, and is woken too late."""
    workdir = tmp_path / "run"
    processes = begin(workdir, 3, duration="4000 steps", evaluation__every="0 steps")
    first, second, third = processes
    wait_for(first, "step 3/4000")
    third.send_signal(signal.SIGSTOP)
    wait_for(first, "was lost; 2 of the processes go on. They go on after step")
    third.send_signal(signal.SIGCONT)
    wait_for(first, "step 5/4000")
    third.communicate(timeout=600)
    assert third.returncode, "JAX ends it, by SIGABRT when this was written"
    second.send_signal(signal.SIGTERM)
    *others, _ = end(processes)
    assert [status for _, _, status in others] == [75, 75], others
    latest = find_latest(workdir)
    verify_digests(latest)
    steps = [step for step, _ in losses_of(workdir)]
    assert steps == list(range(1, int(latest.name) + 1))


def test_a_batch_that_those_who_are_left_cannot_divide_ends_them(tmp_path):
    *others, _ = end(begin(tmp_path / "run", 3, {2: "train:3"}, batch_size=9))
    for out, errors, status in others:
        assert status == 75, errors
        assert "{" not in out  # no result; gloo prints its own lines
        assert (
            "The processes that are left cannot go on: config.batch_size 9 cannot be split over 2" in errors
        )
