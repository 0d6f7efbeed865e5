import jax
import pytest

from flax_googlenet import distributed
from flax_googlenet.distributed import startup
from flax_googlenet.errors import UserError

SLURM = {
    "SLURM_JOB_ID": "7",
    "SLURM_STEP_NODELIST": "node[1-2]",
    "SLURM_PROCID": "1",
    "SLURM_LOCALID": "0",
}


def test_nothing_happens_outside_of_a_cluster():
    distributed.start()
    assert distributed.process_count() == 1
    distributed.finish()
    assert not distributed.end_all("no others")


@pytest.mark.parametrize(("tasks", "expected"), [("1", False), ("2", True)])
def test_a_job_of_one_process_is_no_cluster(tasks, expected, monkeypatch):
    environment = {**SLURM, "SLURM_NTASKS": tasks}
    for name, value in environment.items():
        monkeypatch.setenv(name, value)
    assert startup._is_in_cluster(environment) is expected


@pytest.mark.parametrize(
    ("environment", "expected"),
    [
        ({}, False),
        ({"SLURM_STEP_TASKS_PER_NODE": "1"}, True),
        ({"SLURM_STEP_TASKS_PER_NODE": "1(x3),2"}, False),
        ({"OMPI_COMM_WORLD_LOCAL_SIZE": "1"}, True),
        ({"OMPI_COMM_WORLD_LOCAL_SIZE": "4"}, False),
    ],
)
def test_a_process_that_is_alone_on_its_host_takes_all_devices(environment, expected):
    assert startup._is_alone_on_host(environment) is expected


def test_a_process_that_has_used_its_devices_cannot_join():
    jax.devices()
    with pytest.raises(UserError, match=r"^This process cannot join the others at localhost:1: "):
        distributed.start("localhost:1", 2, 1)
