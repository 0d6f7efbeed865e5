"""The shipped script under a real Slurm of two nodes; `make test-slurm` runs these tests."""

import json
import re
import shlex

import pytest

from flax_googlenet.checkpoints import find_latest
from tests.launch.slurm.cluster import SCRIPT, Job, wait_until
from tests.support.commands import REPOSITORY, read_metrics

pytestmark = [pytest.mark.slow, pytest.mark.slurm]

TRAIN = (
    *("python", "-m", "launch.train", "--config.data.source=image_folder", "--config.data.image_size=32"),
    *("--config.data.resize=32", "--config.batch_size=8", "--config.model.aux_heads=0"),
    *("--config.model.num_classes=0", "--config.schedule.warmup=0 steps", "--config.log_every=1 step"),
    *(
        "--config.evaluation.every=0 steps",
        "--config.evaluation.batch_size=4",
        "--config.checkpoint.every=2 steps",
    ),
)
STEPS = 12

# Stands for a training: it saves for a second when it is told to end, and is done when a file exists or when
# it was started again.
STAND_IN = """
import os, pathlib, signal, sys, time
def end(*_):
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    print("saving", flush=True)
    time.sleep(1)
    print("saved", flush=True)
    sys.exit(75)
signal.signal(signal.SIGTERM, end)
signal.alarm(1800)
name, file = sys.argv[1:]
print(name, "starts", flush=True)
while "SLURM_RESTART_COUNT" not in os.environ and not pathlib.Path(file).exists():
    time.sleep(0.1)
"""

KILLED_ONCE = "((SLURM_RESTART_COUNT)) || if ((SLURM_PROCID)); then kill -KILL $$; else exit 75; fi"

# The options of sbatch, the command, and what becomes of the job.
ENDS = {
    "success": ((), ("true",), Job("COMPLETED", 0, 0)),
    "failure": (("--nodes=2",), ("bash", "-c", "exit $((SLURM_PROCID * 3))"), Job("FAILED", 3, 0)),
    "mistake": ((), ("python", "-m", "launch.train", "--config.sed=1"), Job("FAILED", 1, 0)),
    "killed": ((), ("bash", "-c", "kill -KILL $$"), Job("FAILED", 137, 0)),
    "killed-of-several": (("--nodes=2",), ("bash", "-c", KILLED_ONCE), Job("COMPLETED", 0, 1)),
    "no-requeue": (("--no-requeue",), ("bash", "-c", "exit 75"), Job("FAILED", 75, 0)),
    "no-command": ((), (), Job("FAILED", 2, 0)),
}


@pytest.fixture(scope="module")
def ended(cluster, tmp_path_factory):
    """The numbers of the jobs of `ENDS`, which run beside each other, and the directory of their logs."""
    logs = tmp_path_factory.mktemp("ends")
    numbers = {
        name: cluster.submit(logs, *options, "--", *command) for name, (options, command, _) in ENDS.items()
    }
    return logs, numbers


@pytest.fixture(scope="module")
def limited(cluster, tmp_path_factory):
    """A job with a time limit of three minutes, which --signal=TERM@120 of the script makes one minute."""
    logs = tmp_path_factory.mktemp("limited")
    command = ("python", "-c", STAND_IN, "limited", str(logs / "never"))
    return logs, cluster.submit(logs, "--time=3", "--", *command)


def has_started(log):
    return log.exists() and "starts" in log.read_text()


@pytest.mark.usefixtures("limited", "ended")  # which wait for Slurm's clocks while this test computes
def test_two_nodes_train_one_model_and_go_on_after_a_requeue(cluster, images, tmp_path):
    workdir = tmp_path / "run"
    arguments = (f"--config.data.path={images}", f"--config.duration={STEPS} steps", f"--workdir={workdir}")
    job = cluster.submit(tmp_path, "--nodes=2", "--", *TRAIN, *arguments)
    cluster.wait_for(job, lambda: workdir.exists() and find_latest(workdir) is not None)
    cluster.call("scancel", "--signal=TERM", job)
    ended = cluster.wait(job)

    batch = (tmp_path / f"slurm-{job}.out").read_text()
    first, second = ((tmp_path / f"{job}-{task}.log").read_text() for task in (0, 1))
    assert ended == Job("COMPLETED", 0, 1), batch + first + second
    for start in (1, 2):
        assert f"Job {job}, start {start}, on 127.0.0.[1-2]: python -m launch.train" in batch
    assert f"Job {job} ended with status 75; requeueing it." in batch

    # Each of the two processes has the two devices of its node, and both stop after the same step.
    assert f"training for {STEPS} steps of 8 images on 4 x cpu of 2 processes" in first
    (stopped,) = {
        int(step) for log in (first, second) for step in re.findall(r"resumes from step (\d+)", log)
    }
    assert first.count("stopped: ") == second.count("stopped: ") == 1
    assert f"resuming at step {stopped} of {STEPS} steps of 8 images on 4 x cpu of 2 processes" in first
    steps = [record["step"] for record in read_metrics(workdir) if "train/loss" in record]
    assert steps == list(range(1, STEPS + 1))
    assert json.loads(first.splitlines()[-1])["step"] == STEPS
    assert "{" not in second


def test_two_tasks_on_one_node_are_two_processes(cluster, tmp_path):
    code = """
        import jax
        from flax_googlenet import distributed
        distributed.start()
        print(jax.process_index(), "of", jax.process_count(), "with", len(jax.local_devices()), "devices")
        distributed.finish()
        """
    command = ("python", "-c", "\n".join(line.strip() for line in code.splitlines()))
    job = cluster.submit(tmp_path, "--ntasks-per-node=2", "--", *command)
    assert cluster.wait(job) == Job("COMPLETED", 0, 0), (tmp_path / f"{job}-0.log").read_text()
    for task in (0, 1):
        assert f"{task} of 2 with 2 devices" in (tmp_path / f"{job}-{task}.log").read_text()


def test_a_task_of_an_array_is_requeued_alone(cluster, tmp_path):
    release = tmp_path / "release"
    command = ("python", "-c", STAND_IN, "task-%a", str(release))
    array = cluster.submit(tmp_path, "--array=1-2", "--", *command)
    logs = [tmp_path / f"{array}_{task}-0.log" for task in (1, 2)]
    cluster.wait_for(f"{array}_1", lambda: all(map(has_started, logs)))
    # The last task of an array has the number of the array itself.
    assert f"JobId={array} ArrayJobId={array} ArrayTaskId=2" in cluster.call(
        "scontrol", "show", "job", f"{array}_2"
    )
    cluster.call("scancel", "--signal=TERM", f"{array}_2")
    assert cluster.wait(f"{array}_2") == Job("COMPLETED", 0, 1)
    assert cluster.job(f"{array}_1") == Job("RUNNING", 0, 0)
    release.touch()
    assert cluster.wait(f"{array}_1") == Job("COMPLETED", 0, 0)
    assert logs[0].read_text().split() == ["task-1", "starts"]
    assert "saving\nsaved\ntask-2 starts\n" in logs[1].read_text()


def test_a_cancelled_job_saves_and_does_not_come_back(cluster, tmp_path):
    job = cluster.submit(
        tmp_path, "--nodes=2", "--", "python", "-c", STAND_IN, "node", str(tmp_path / "never")
    )
    logs = [tmp_path / f"{job}-{task}.log" for task in (0, 1)]
    cluster.wait_for(job, lambda: all(map(has_started, logs)))
    cluster.call("scancel", job)
    assert cluster.wait(job).state == "CANCELLED"
    for log in logs:
        wait_until(lambda log=log: "saved" in log.read_text())
    assert cluster.job(job).restarts == 0


def test_the_cpus_of_a_task_are_those_of_the_job(cluster, tmp_path):
    job = cluster.submit(
        tmp_path, "--cpus-per-task=3", "--", "bash", "-c", "echo $SLURM_STEP_ID $SLURM_CPUS_PER_TASK"
    )
    assert cluster.wait(job) == Job("COMPLETED", 0, 0)
    assert (tmp_path / f"{job}-0.log").read_text() == "0 3\n"


@pytest.mark.parametrize("name", ENDS)
def test_the_end_of_a_command_decides_on_that_of_the_job(cluster, ended, name):
    logs, numbers = ended
    *_, expected = ENDS[name]
    assert cluster.wait(numbers[name]) == expected
    batch = (logs / f"slurm-{numbers[name]}.out").read_text()
    assert ("\nerror: " in f"\n{batch}") == (expected.status != 0), batch


def test_before_its_time_limit_a_job_saves_and_goes_on(cluster, limited):
    logs, job = limited
    assert cluster.wait(job) == Job("COMPLETED", 0, 1)
    assert "saving\nsaved\nlimited starts\n" in (logs / f"{job}-0.log").read_text()


def commands():
    pages = [REPOSITORY / name for name in ("README.md", SCRIPT, *(f"docs/{page}" for page in PAGES))]
    text = "\n".join(page.read_text() for page in pages).replace("\\\n", " ")
    return re.findall(r"^(?:#   )?(sbatch .*)$|`(sbatch [^`]*run\.sbatch[^`]*)`", text, flags=re.MULTILINE)


PAGES = ("slurm.md", "many_hosts.md")


@pytest.mark.parametrize("command", sorted({block or span for block, span in commands()}))
def test_slurm_takes_every_command_of_the_pages(cluster, command):
    sbatch, *words = shlex.split(command)
    cluster.call(sbatch, "--test-only", *words)
