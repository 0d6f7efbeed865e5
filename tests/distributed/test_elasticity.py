"""Runs on other numbers of processes and devices, from the start and from a checkpoint of another one."""

import dataclasses
import json
import pathlib
import shutil

import jax
import numpy as np
import pytest

from benchmarks.chaos.outcome import digests, read_trees
from tests.support import QUICK_TO_COMPILE
from tests.support.commands import read_metrics
from tests.support.processes import free_port, outputs, start

pytestmark = pytest.mark.slow

STEPS, RESUMED = 50, 25

# What the order of float32 sums can do to a loss of about 2.5 in 50 steps. A gradient sums n = 8 * 32 * 32
# terms at most, each rounded by u = 2**-24 at most, so that its error grows like u * sqrt(n) = 5.4e-6,
# relative to its norm. The norm is clipped to 2, the rate is at most 0.01, and momentum 0.9 repeats an update
# ten times: a step moves the weights by 0.2 at most, with an error of 1.1e-6. The errors of 50 steps have
# independent signs and add up to 7.6e-6. The loss follows by its gradient, whose norm is about that of the
# loss.
TOLERANCE = 1e-5


@dataclasses.dataclass
class Run:
    """A complete run: its workdir, and what its hosts printed."""

    workdir: pathlib.Path
    rows: dict[str, str]
    sum: str

    @property
    def losses(self) -> np.ndarray:
        records = read_metrics(self.workdir)
        return np.array([record["train/loss"] for record in records if "train/loss" in record])

    def arrays(self) -> dict[str, np.ndarray]:
        trees = read_trees(self.workdir / f"checkpoints/{STEPS}")
        leaves = jax.tree_util.tree_leaves_with_path(trees)
        return {jax.tree_util.keystr(path): np.asarray(leaf) for path, leaf in leaves}


def run(workdir: pathlib.Path, hosts: int, devices: int, *, fault: bool = False) -> Run:
    """Train on some hosts with some devices each, or resume there."""
    port = free_port()
    flags = f"{QUICK_TO_COMPILE} --xla_force_host_platform_device_count={devices}"
    processes = [
        start(
            "-m", "tests.distributed.training_host", port, hosts, host, workdir, int(fault), XLA_FLAGS=flags
        )
        for host in range(hosts)
    ]
    rows: dict[str, str] = {}
    for out in outputs(processes):
        printed = json.loads(out.splitlines()[-1])
        assert printed["devices"] == hosts * devices
        assert not rows.keys() & printed["rows"].keys(), "a host reads only its own rows"
        rows |= printed["rows"]
    return Run(workdir, rows, printed["sum"])


def resume(original: Run, workdir: pathlib.Path, hosts: int, devices: int, *, fault: bool = False) -> Run:
    """Resume a copy of a run, in which only the first half has been trained."""
    shutil.copytree(original.workdir, workdir)
    shutil.rmtree(workdir / f"checkpoints/{STEPS}")
    return run(workdir, hosts, devices, fault=fault)


@pytest.fixture(scope="module")
def alone(tmp_path_factory):
    return run(tmp_path_factory.mktemp("alone") / "run", 1, 1)


@pytest.fixture(scope="module")
def two_by_two(tmp_path_factory):
    """Two processes with two devices each, whose order is permuted."""
    return run(tmp_path_factory.mktemp("two_by_two") / "run", 2, 2)


def assert_close(actual: Run, expected: Run) -> None:
    np.testing.assert_allclose(actual.losses, expected.losses, rtol=TOLERANCE)
    # Of the parameters, the error relative to their norm is smaller, for the same reason.
    for name, array in expected.arrays().items():
        distance = np.linalg.norm(np.ravel(actual.arrays()[name]).astype(float) - np.ravel(array))
        assert distance <= TOLERANCE * max(np.linalg.norm(np.ravel(array).astype(float)), 1.0), name


@pytest.mark.parametrize(("hosts", "devices"), [(1, 4), (2, 2)])
def test_losses_of_fifty_steps_do_not_depend_on_hosts_and_devices(
    hosts, devices, alone, two_by_two, tmp_path
):
    several = two_by_two if hosts == 2 else run(tmp_path / "run", hosts, devices)
    assert len(several.losses) == STEPS
    assert several.rows == alone.rows
    assert_close(several, alone)


def test_a_run_resumes_on_one_device(two_by_two, tmp_path):
    resumed = resume(two_by_two, tmp_path / "run", 1, 1)
    assert {**two_by_two.rows, **resumed.rows} == two_by_two.rows, "the same global batches"
    assert len(resumed.rows) == len(two_by_two.rows) / 2
    assert_close(resumed, two_by_two)


def test_a_run_resumes_to_the_bit_where_the_sum_has_the_same_order(two_by_two, tmp_path):
    """Between processes, the order does not depend on how many of the devices each has."""
    resumed = resume(two_by_two, tmp_path / "run", 4, 1)
    assert resumed.sum == two_by_two.sum
    result = {"checkpoint": str(tmp_path / f"run/checkpoints/{STEPS}")}
    expected = {"checkpoint": str(two_by_two.workdir / f"checkpoints/{STEPS}")}
    assert digests(resumed.workdir, result) == digests(two_by_two.workdir, expected)


def test_the_tolerance_is_not_vacuous(alone, tmp_path):
    """One other label in one of 50 batches of 8 images is seen."""
    other = resume(alone, tmp_path / "run", 1, 1, fault=True)
    difference = np.abs(other.losses - alone.losses) / alone.losses
    assert (difference[:RESUMED] == 0).all()
    assert difference[RESUMED] > TOLERANCE, "of the batch itself"
    assert (difference[RESUMED + 1 :] > TOLERANCE).any(), "of the later ones, through the weights"
