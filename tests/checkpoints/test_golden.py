"""Checkpoints that earlier versions wrote; golden/README.md says how."""

import dataclasses
import pathlib
import shutil

import jax
import numpy as np
import pytest

import flax_googlenet
from flax_googlenet import checkpoints, classifier
from flax_googlenet.config import resolve
from flax_googlenet.table import TABLE_1
from flax_googlenet.training import train
from flax_googlenet.training.setup import program
from tests.support.commands import read_metrics

GOLDEN = pathlib.Path(__file__).parent / "golden"
FORMATS = range(1, checkpoints.FORMAT + 1)

ROWS = ("conv1", "pool1", "conv2", "pool2", "inception_3a", "pool3", "avg_pool", "dropout", "head")


@pytest.fixture(autouse=True)
def small_networks(monkeypatch):
    rows = [row for row in TABLE_1 if row.name in ROWS]
    table = tuple(
        dataclasses.replace(row, filters=tuple(max(n // 16, 1) for n in row.filters)) for row in rows
    )
    for module in (program, classifier):
        build = module.build_model
        monkeypatch.setattr(module, "build_model", lambda model, build=build: build(model).clone(table=table))


@pytest.fixture(params=FORMATS)
def golden(request):
    """A workdir, and what the code that wrote it computed from its checkpoint."""
    workdir = GOLDEN / f"format_{request.param}"
    return workdir, np.load(workdir / "expected.npz")


def test_a_golden_checkpoint_is_described(golden):
    workdir, _ = golden
    description = checkpoints.describe(checkpoints.find(workdir))
    assert description.step == 2
    assert description.class_names == tuple("0123456789")
    assert [record["step"] for record in description.history] == [1, 2]
    assert resolve(description.config).averaging.kind == "ema"


def test_a_golden_checkpoint_gives_the_same_logits(golden):
    workdir, expected = golden
    loaded = flax_googlenet.load(workdir)
    images, config = expected["images"], loaded.config.data
    mean, std = (np.asarray(figures, np.float32) for figures in (config.mean, config.std))
    logits = jax.jit(loaded.model.apply)(loaded.variables, (images - mean) / std)["logits"]
    np.testing.assert_allclose(logits, expected["logits"], rtol=1e-5, atol=1e-5)
    np.testing.assert_allclose(loaded.predict(images), expected["probabilities"], rtol=1e-5)
    variables = checkpoints.read_weights(checkpoints.find(workdir))
    jax.tree.map(np.testing.assert_array_equal, variables, jax.device_get(loaded.variables))


def test_a_golden_checkpoint_is_resumed(golden, tmp_path):
    workdir, expected = golden
    shutil.copytree(workdir, tmp_path / "run")
    config = checkpoints.describe(checkpoints.find(workdir)).config
    result = train(resolve(config), tmp_path / "run")
    assert result["step"] == 3
    losses = [record["train/loss"] for record in read_metrics(tmp_path / "run") if "train/loss" in record]
    assert len(losses) == 3
    np.testing.assert_allclose(losses[-1], expected["loss_of_step_3"], rtol=1e-5)
