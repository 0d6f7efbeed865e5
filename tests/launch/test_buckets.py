"""Runs in buckets, which a server on this machine emulates."""

import json
import signal
import subprocess
import textwrap

import fsspec
import jax
import numpy as np
import pytest
from etils import epath
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

from flax_googlenet.checkpoints import arrays
from flax_googlenet.paths import resolve_path
from tests.support.commands import TINY, error_of, read_metrics, result_of
from tests.support.processes import start

pytestmark = pytest.mark.slow

# Dies when all files of the checkpoint at step 24 but the last are in the bucket, while it trains on.
DYING = textwrap.dedent(
    """
    import os, runpy, signal
    from etils import epath

    def write_or_die(path, content):
        if str(path).endswith("run/checkpoints/24/digests.json"):
            os.kill(os.getpid(), signal.SIGKILL)
        return write(path, content)

    kind = type(epath.Path("gs://bucket"))
    write = kind.write_bytes
    kind.write_bytes = write_or_die
    runpy.run_module("launch.train", run_name="__main__", alter_sys=True)
    """
)
SPEED = ("train/images_per_second", "train/data_wait", "train/goodput")


def test_a_run_in_a_bucket_survives_a_kill(launch, bucket, trained, tmp_path):
    workdir = f"{bucket}/run"
    process = start("-c", DYING, f"--workdir={workdir}", *TINY)
    _, stderr = process.communicate(timeout=600)
    assert process.returncode == -signal.SIGKILL, stderr
    root = resolve_path(workdir)
    half = root / "checkpoints/24"
    assert (half / "weights").is_dir()
    assert (half / "description/metadata").exists()
    assert not (half / "digests.json").exists()

    resumed = launch("train", f"--workdir={workdir}", *TINY, "--profile_steps=38:39")
    assert f"{half} is not a complete checkpoint; it was removed" in resumed.stderr
    assert "resuming at step 16 of" in resumed.stderr
    result = result_of(resumed)
    assert result["checkpoint"] == f"{workdir}/checkpoints/40"

    files = tmp_path / "copy"
    system, _ = fsspec.url_to_fs(workdir)
    system.get(workdir, str(files), recursive=True)
    names = {path.name for path in trained.iterdir()} - {"logs", ".lock"}
    assert {path.name for path in files.iterdir()} == names
    steps = {path.name for path in (trained / "checkpoints").iterdir()}
    assert {path.name for path in (files / "checkpoints").iterdir()} == steps
    for item in ("weights", "optimizer"):
        here, there = (
            arrays.restore_item(epath.Path(directory) / "checkpoints/40", item)
            for directory in (files, trained)
        )
        jax.tree.map(np.testing.assert_array_equal, here, there)
    assert without_speed(read_metrics(files)) == without_speed(read_metrics(trained))
    assert (files / "config.json").read_bytes() == (trained / "config.json").read_bytes()
    assert (files / "curves.png").read_bytes().startswith(b"\x89PNG")
    events = EventAccumulator(str(files / "events")).Reload()
    assert [event.step for event in events.Scalars("train/loss")] == list(range(1, 41))


def test_the_commands_read_a_run_in_a_bucket(launch, run_here, s3, trained, train_run):
    root = "s3://bucket/complete"
    s3.put(str(trained), root, recursive=True)
    figures = result_of(train_run)
    assert result_of(run_here("train", f"--workdir={root}", *TINY)) == {
        **figures, "checkpoint": f"{root}/checkpoints/40"
    }  # fmt: skip
    evaluated = result_of(launch("evaluate", f"--checkpoint={root}", f"--out={root}-report"))
    assert {name: evaluated[name] for name in ("top1", "top5", "loss")} == {
        name: figures[name] for name in ("top1", "top5", "loss")
    }
    report = resolve_path(f"{root}-report")
    assert json.loads((report / "results.json").read_text())["top1"] == evaluated["top1"]
    assert (report / "confusion.png").exists()
    here, there = (
        result_of(run_here("predict", f"--checkpoint={path}", "docs/seven.png")) for path in (trained, root)
    )
    assert here == there


def without_speed(records: list[dict]) -> list[dict]:
    return [{name: value for name, value in record.items() if name not in SPEED} for record in records]


WITHOUT_PACKAGE = (
    "import runpy, sys; sys.modules['gcsfs'] = None; runpy.run_module('launch.train', None, '__main__')"
)


@pytest.mark.usefixtures("s3")
@pytest.mark.parametrize(
    ("command", "words"),
    [
        pytest.param(
            ("-m", "launch.train", "--workdir=s3://no-bucket/run"),
            "Could not write s3://no-bucket/run: The specified bucket does not exist; check the address, the "
            "network and your credentials.",
            id="no bucket",
        ),
        pytest.param(
            ("-c", WITHOUT_PACKAGE, "--workdir=gs://bucket/run"),
            "Could not read gs://bucket/run: Please install gcsfs to access Google Storage; gs:// needs the "
            "package gcsfs and s3:// needs s3fs.",
            id="no package",
        ),
    ],
)
def test_a_bucket_that_cannot_be_used_is_one_sentence(command, words, s3):
    process = start(*command, *TINY)
    stdout, stderr = process.communicate(timeout=600)
    assert (
        error_of(subprocess.CompletedProcess(command, process.returncode, stdout, stderr))
        == f"error: {words}"
    )
    assert not s3.exists("no-bucket")


@pytest.mark.usefixtures("s3")
def test_missing_credentials_are_one_sentence(launch, monkeypatch):
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
        monkeypatch.delenv(name)
    monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "true")
    message = error_of(launch("train", "--workdir=s3://bucket/run", *TINY))
    assert "s3://bucket/run: Unable to locate credentials; check the address" in message
