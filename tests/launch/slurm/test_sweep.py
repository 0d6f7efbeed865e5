"""`launch.sweep` as a job array, under the Slurm of test_run.py."""

import json

import pytest

from flax_googlenet.checkpoints import find_latest
from tests.launch.slurm.cluster import Job

pytestmark = [pytest.mark.slow, pytest.mark.slurm]

SWEEP = """
from flax_googlenet.sweeps import Row, Sweep

def get_sweep():
    shared = {
        "data.source": "image_folder", "data.image_size": 32, "data.resize": 32, "model.num_classes": 0,
        "model.aux_heads": 0, "batch_size": 8, "duration": "6 steps", "schedule.warmup": "0 steps",
        "log_every": "1 step", "checkpoint.every": "1 step", "evaluation.every": "0 steps",
        "evaluation.batch_size": 4,
    }
    rows = (Row("plain"), Row("fails", {"optimizer.freeze": ("sten/*",)}))
    return Sweep("mnist_sample", rows, shared=shared)
"""


def test_the_runs_are_an_array_and_then_compared(cluster, images, tmp_path):
    file = tmp_path / "rows.py"
    file.write_text(SWEEP)
    workdir = tmp_path / "sweep"
    words = ("python", "-m", "launch.sweep", f"--sweep={file}", f"--workdir={workdir}", "--executor=slurm")
    arguments = ("--sbatch=--time=30", f"--config.data.path={images}")
    submitted = json.loads(cluster.call(*words, *arguments).splitlines()[-1])
    assert (submitted["runs"], submitted["submitted"]) == (2, 2)
    array, comparison = submitted["array"], submitted["comparison"]
    cluster.wait_for(f"{array}_0", lambda: find_latest(workdir / "plain/seed_0") is not None)
    cluster.call("scancel", "--signal=TERM", f"{array}_0")

    assert cluster.wait(f"{array}_1") == Job("FAILED", 1, 0)
    assert cluster.wait(f"{array}_0") == Job("COMPLETED", 0, 1), "it was requeued, and went on"
    assert cluster.wait(comparison) == Job("FAILED", 1, 0), "a run has failed"
    records = json.loads((workdir / "results.json").read_text())["runs"]
    assert [record["status"] for record in records] == ["done", "failed"]
    assert "sten/*" in records[-1]["error"]
    log = (workdir / f"logs/{comparison}-0.log").read_text()
    assert "plain/seed_0 is complete" in log
    assert (workdir / "report/index.html").exists()
