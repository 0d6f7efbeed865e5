"""`launch.sweep`: its mistakes, the commands that it prints, and a sweep that is stopped and repeated."""

import json
import re
import shlex
import signal

import pytest

import flax_googlenet.training
from flax_googlenet.config import flatten
from flax_googlenet.sweeps import execution, expand
from launch.common import config_file
from tests.support.commands import TINY, result_of
from tests.support.processes import start, wait_for

AUX_HEADS = "configs/sweeps/aux_heads.py"


def last_line(text: str) -> str:
    return text.splitlines()[-1]


@pytest.mark.parametrize(
    ("sweep", "words"),
    [
        ("configs/sweeps/aux_head.py", 'did you mean "configs/sweeps/aux_heads.py"'),
        ("configs/mnist_sample.py", "has no function get_sweep(); see configs/sweeps/aux_heads.py"),
        (f"{AUX_HEADS}:bas=imagenet", 'takes no argument "bas"; did you mean "base"'),
        (f"{AUX_HEADS}:base=imagnet", 'did you mean "configs/imagenet.py"'),
        (f"{AUX_HEADS}:rows=quik", 'rows is "quik"; it must be "all" or "quick"'),
    ],
)
def test_a_sweep_that_is_not_there(command, capsys, tmp_path, sweep, words):
    assert command("sweep", f"--workdir={tmp_path / 'sweep'}", f"--sweep={sweep}") == 1
    streams = capsys.readouterr()
    assert streams.out == ""
    assert words in last_line(streams.err)
    assert not (tmp_path / "sweep").exists()


@pytest.mark.parametrize(
    ("flag", "words"),
    [
        ("--config.lr=1", 'did you mean "optimizer.learning_rate"'),
        ("--config.loss.aux_weight=1", 'config.loss.aux_weight is set for all rows, but the row "both"'),
    ],
)
def test_a_key_that_cannot_be_set_for_all_rows(command, capsys, tmp_path, flag, words):
    assert command("sweep", f"--workdir={tmp_path / 'sweep'}", f"--sweep={AUX_HEADS}", flag) == 1
    streams = capsys.readouterr()
    assert streams.out == ""
    assert words in last_line(streams.err)
    assert not (tmp_path / "sweep").exists()


@pytest.mark.parametrize("name", ["aux_heads", "paper", "versus"])
@pytest.mark.parametrize("base", ["mnist_sample", "imagenet:variant=bn"])
def test_the_commands_of_a_dry_run_train_the_same(command, capsys, monkeypatch, tmp_path, name, base):
    asked = []

    def train(config, workdir, **_):
        asked.append((config, workdir))
        return {}

    sweep, changes = f"configs/sweeps/{name}.py:base={base},rows=quick", {"data.mean": (1.0, 2.5, 3.0)}
    flags = ("--seeds=2", f"--workdir={tmp_path}", "--config.data.mean=(1.0, 2.5, 3.0)", "--dry_run")
    assert command("sweep", f"--sweep={sweep}", *flags) == 0
    streams = capsys.readouterr()
    result = json.loads(last_line(streams.out))
    assert streams.err.splitlines()[-result["runs"] :] == result["commands"]
    assert not list(tmp_path.iterdir())

    monkeypatch.setattr(flax_googlenet.training, "train", train)
    for line in result["commands"]:
        _, _, module, *arguments = shlex.split(line)
        assert command(module.removeprefix("launch."), *arguments) == 0
    loaded = config_file.load_sweep(sweep)
    base_settings = config_file.load(config_file.path_of(loaded.base))
    runs = expand(loaded, base_settings, changes=changes, seeds=2, workdir=tmp_path)
    assert len(runs) == result["runs"]
    for run, (config, workdir) in zip(runs, asked, strict=True):
        assert flatten(config) == flatten(run.config)
        assert workdir == str(run.workdir)


def test_a_failed_run_is_in_the_status_and_the_result(command, capsys, monkeypatch, tmp_path):
    failing = execution.Outcome(6, failed=1, results="results.json")
    monkeypatch.setattr("flax_googlenet.sweeps.execute", lambda *_, **__: failing)
    assert command("sweep", f"--sweep={AUX_HEADS}", f"--workdir={tmp_path}") == 1
    streams = capsys.readouterr()
    expected = {"runs": 6, "failed": 1, "results": "results.json", "report": None}
    assert json.loads(streams.out) == expected
    assert "the sweep has no report: " in streams.err


@pytest.mark.parametrize(
    ("sbatch", "flag", "words"),
    [
        (
            None,
            "--sbatch=",
            "There is no sbatch here; run the command on a machine that submits jobs to Slurm.",
        ),
        (
            "echo 'sbatch: error: invalid partition specified: gpu' >&2; exit 1",
            "--sbatch=--partition=gpu",
            "sbatch refused --partition=gpu --array=0-5",
        ),
        (None, "--workdir=gs://bucket/sweep", "gs://bucket/sweep is a bucket; --executor=slurm needs"),
    ],
)
def test_jobs_that_cannot_be_submitted(command, capsys, monkeypatch, tmp_path, sbatch, flag, words):
    monkeypatch.setenv("PATH", str(tmp_path))
    if sbatch:
        (tmp_path / "sbatch").write_text(f"#!/bin/sh\n{sbatch}\n")
        (tmp_path / "sbatch").chmod(0o755)
    flags = (f"--sweep={AUX_HEADS}", f"--workdir={tmp_path / 'sweep'}", "--executor=slurm", flag)
    assert command("sweep", *flags) == 1
    streams = capsys.readouterr()
    assert streams.out == ""
    assert words in last_line(streams.err)


TWO_ROWS = """
from flax_googlenet.sweeps import Row, Sweep

def get_sweep():
    rows = (Row("none"), Row("without_dropout", {"model.dropout": 0.0}))
    return Sweep("mnist_sample", rows, shared={"model.aux_heads": 0})
"""


@pytest.mark.slow
@pytest.mark.usefixtures("quick_to_compile")
def test_a_sweep_that_is_stopped_goes_on(launch, tmp_path):
    """SIGTERM in the second run, and the same command again, which reports what an undisturbed one would."""
    sweep = tmp_path / "two.py"
    sweep.write_text(TWO_ROWS)
    workdir = tmp_path / "sweep"
    arguments = (f"--sweep={sweep}", f"--workdir={workdir}", *TINY)
    process = start("-m", "launch.sweep", *arguments)
    wait_for(process, "run 2 of 2")
    wait_for(process, "step 12/")
    process.send_signal(signal.SIGTERM)
    _, stderr = process.communicate(timeout=600)
    assert process.returncode == 75, stderr
    assert "the same command" in last_line(stderr)

    finished = launch("sweep", *arguments)
    paths = {"results": str(workdir / "results.json"), "report": str(workdir / "report/index.html")}
    assert result_of(finished) == {"runs": 2, "failed": 0, **paths}
    report = (workdir / "report/index.html").read_bytes()
    assert "run 1 of 2" not in finished.stderr
    assert re.search(r"resuming at step \d+ of 40", finished.stderr)
    records = json.loads((workdir / "results.json").read_text())["runs"]
    assert [(record["workdir"], record["status"]) for record in records] == [
        ("none/seed_0", "done"),
        ("without_dropout/seed_0", "done"),
    ]
    again = launch("sweep", *arguments)
    assert result_of(again) == result_of(finished)
    assert json.loads((workdir / "results.json").read_text())["runs"] == records
    assert "all complete" in again.stderr
    assert (workdir / "report/index.html").read_bytes() == report
