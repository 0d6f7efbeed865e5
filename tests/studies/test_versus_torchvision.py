"""The study on two classes of small photographs, with small networks."""

import json

import jax
import pytest
import torchvision

from flax_googlenet import sharding
from flax_googlenet.training.setup import program
from studies.versus_torchvision import torch_network
from studies.versus_torchvision.rows import DEFAULT_ROWS, ROWS, TORCH
from studies.versus_torchvision.summary import summarize
from studies.versus_torchvision.table import versus_torchvision
from tests.studies.conditions import CONDITIONS
from tests.studies.small import small_googlenet, write_photographs

FLAGS = ("--classes=2", "--image_size=32", "--batch_size=8", "--epochs=2", "--seeds=1")


@pytest.fixture
def study(run_here, monkeypatch, small_table, tmp_path):
    """A function that runs the study in this process and returns its result and what it said."""
    build = program.build_model
    for module in (program, torch_network):
        monkeypatch.setattr(module, "build_model", lambda model: build(model).clone(table=small_table))
    monkeypatch.setattr(torchvision.models, "googlenet", small_googlenet)
    mesh = sharding.data_mesh(jax.devices()[:1])
    monkeypatch.setattr(sharding, "data_mesh", lambda: mesh)
    write_photographs(tmp_path / "photographs", {"blue": 20, "green": 20, "few": 3})
    paths = (f"--data={tmp_path}/photographs", f"--workdir={tmp_path}/work", f"--out={tmp_path}/out.json")

    def run(*flags):
        with jax.numpy_dtype_promotion("standard"):  # Optax's cosine promotes
            process = run_here("studies.versus_torchvision", *paths, *FLAGS, *flags)
        return process, json.loads((tmp_path / "out.json").read_text()) if process.returncode == 0 else None

    return run


@pytest.mark.slow
def test_our_network_and_torchvisions_learn_alike(study, tmp_path):
    process, result = study("--rows=torch_no_dropout,torchvision_no_dropout")
    assert process.returncode == 0, process.stderr
    assert result["data"] == {"classes": ["blue", "green"], "train": 32, "val": 8}
    assert result["conditions"]["versions"].keys() >= {"jax", "torch", "torchvision"}
    peer, ours = (row["curves"]["0"] for row in result["rows"].values())
    assert [(point["epoch"], point["step"]) for point in ours] == [(1, 4), (2, 8)]
    # Same weights, batches and updates. The losses on images held out differ, since PyTorch's running
    # variances are n / (n - 1) times ours.
    for theirs, own in zip(peer, ours, strict=True):
        assert own["train_loss"] == pytest.approx(theirs["train_loss"], rel=1e-3)
    printed = json.loads(process.stdout.splitlines()[-1])
    assert printed["differences"] == result["differences"]
    table = versus_torchvision(result)
    assert "2 classes, 32 images to train on and 8 held out, 32 pixels; 2 epochs in batches of 8" in table
    assert "| `torchvision_no_dropout` |" in table

    files = sorted(tmp_path.glob("work/*/seed_*.json"))
    assert [str(file.relative_to(tmp_path)) for file in files] == [
        f"work/{row}_no_dropout/seed_0.json" for row in ("torch", "torchvision")
    ]
    files[0].unlink()
    kept = files[1].stat().st_mtime_ns
    _, again = study("--rows=torch_no_dropout,torchvision_no_dropout")
    assert again["rows"]["torch_no_dropout"]["curves"] == result["rows"]["torch_no_dropout"]["curves"]
    assert files[1].stat().st_mtime_ns == kept

    process, _ = study("--rows=torchvision_no_dropout", "--learning_rate=0.5")
    assert process.returncode == 1
    assert "config.optimizer.learning_rate is 0.02 there and 0.5 here" in process.stderr


def test_unknown_rows_are_refused(study):
    process, _ = study("--rows=torhc")
    assert process.returncode == 1
    assert '--rows has no choice "torhc"; did you mean "torch"' in process.stderr


@pytest.mark.parametrize("name", ROWS)
def test_rows_can_be_run(name):
    """The network in PyTorch ignores most keys, so rows with it set only those that it knows."""
    row = ROWS[name]
    if row.trainer == TORCH:
        assert row.overrides["model.variant"] == "torchvision"
        assert row.overrides.keys() <= {"model.variant", "model.dropout", "model.aux_dropout"}
        assert not row.recipe
    else:
        assert not row.own_initialization
    assert row.reference in {"", *ROWS}


def test_the_study_answers_both_questions_by_default():
    assert DEFAULT_ROWS == ("torch", "torch_our_weights", "torchvision", "bn")


def example(rows: dict[str, list[float]]) -> dict:
    """Return the results of rows from the top-1 of each seed after the last of four epochs."""
    return {
        name: {
            seed: {
                "seconds": 10.0,
                "commit": "abc",
                "curve": [
                    {"epoch": n, "step": n, "train_loss": 1.0, "top1": last * n / 4, "loss": 1 - last}
                    for n in (1, 2, 3, 4)
                ],
            }
            for seed, last in enumerate(top1)
        }
        for name, top1 in rows.items()
    }


def test_rows_are_compared_with_those_in_pytorch():
    summary = summarize(example({"torch": [0.5, 0.7], "torch_our_weights": [0.6, 0.6], "bn": [0.6, 0.9]}))
    assert summary["rows"]["bn"]["top1"]["mean"] == pytest.approx(0.75)
    assert summary["rows"]["bn"]["commits"] == ["abc"]
    assert list(summary["differences"]) == ["torch", "torch_our_weights"]
    differences = summary["differences"]["torch"]
    assert list(differences) == ["torch_our_weights", "bn"]
    assert differences["bn"]["top1"]["mean"] == pytest.approx(0.15)
    assert differences["bn"]["top1"]["pairs"] == 2


def test_a_change_of_a_row_is_compared_with_it():
    summary = summarize(example({"bn": [0.6, 0.7], "bn_he": [0.7, 0.6], "modern": [0.8, 0.8]}))
    assert {reference: list(rows) for reference, rows in summary["differences"].items()} == {"bn": ["bn_he"]}


def test_the_table():
    summary = summarize(example({"torch": [0.5, 0.7], "bn": [0.6, 0.9]}))
    setting = {"image_size": 64, "epochs": 4, "batch_size": 32, "learning_rate": 0.02, "momentum": 0.9}
    data = {"classes": ["a", "b"], "train": 8, "val": 2}
    table = versus_torchvision({"setting": setting, "data": data, **summary, "conditions": CONDITIONS})
    assert table.startswith(
        "2 classes, 8 images to train on and 2 held out, 64 pixels; 4 epochs in batches of 32, SGD with "
        "momentum 0.9 from 0.02, 2 seeds.\n\n"
        "| row | top-1 in % | difference to `torch` | loss | |\n"
        "|---|---:|---:|---:|---|\n"
        "| `torch` | 60.0 ± 14.1 |  | 0.400 ± 0.141 | "
    )
    assert "| `bn` | 75.0 ± 21.2 | +15.00 ± 63.53 | 0.250 ± 0.212 | Our variant bn. |" in table
    assert "| top-1 in %, loss after epoch | 1 | 2 | 3 | 4 |" in table
    assert "| `bn` | 18.8, 0.250 | 37.5, 0.250 | 56.2, 0.250 | 75.0, 0.250 |" in table
