"""Runs of a small network in this process: what a resumed run checks and restores."""

import json
import os
import pathlib
import shutil
import socket

import cv2
import jax
import numpy as np
import pytest

import flax_googlenet
from flax_googlenet import checkpoints, classifier
from flax_googlenet.checkpoints import WorkdirLock
from flax_googlenet.config import resolve
from flax_googlenet.data import open_source
from flax_googlenet.errors import UserError
from flax_googlenet.evaluation import Evaluator, Member
from flax_googlenet.models import GoogLeNet
from flax_googlenet.paths import resolve_path
from flax_googlenet.sharding import data_mesh
from flax_googlenet.training import loop, train
from flax_googlenet.training.reporting.reporter import TIMINGS
from flax_googlenet.training.saving import Saver
from flax_googlenet.training.setup import program
from tests.support.commands import read_metrics


@pytest.fixture(autouse=True)
def small_networks(monkeypatch, small_table):
    def build(model):
        return GoogLeNet(
            num_classes=model.num_classes, normalization=model.normalization, table=small_table, dropout=0.0
        )

    monkeypatch.setattr(program, "build_model", build)
    monkeypatch.setattr(classifier, "build_model", build)


def write_images(root: pathlib.Path, split: str, class_names, per_class: int) -> None:
    rng = np.random.default_rng(len(split))
    for label, name in enumerate(class_names):
        (root / split / name).mkdir(parents=True)
        for index in range(per_class):
            image = rng.integers(0, 60, (32, 32, 3), dtype=np.uint8)
            image[..., label % 3] += 150
            cv2.imwrite(str(root / split / name / f"{index}.png"), image)


ANIMALS = ("ant", "bee", "cat")


def write_data(root: pathlib.Path) -> pathlib.Path:
    write_images(root, "train", ANIMALS, 8)
    write_images(root, "val", ANIMALS, 4)
    return root


def config_of(data: pathlib.Path, **sections):
    given = {
        "batch_size": 8,
        "duration": "2 epochs",
        "log_every": "1 step",
        "model": {"num_classes": 3, "normalization": "none", "initializer": "he"},
        "data": {"path": str(data), "image_size": 32, "resize": 32, "workers": 1},
        "evaluation": {"every": "1 epoch", "batch_size": 8},
        "checkpoint": {"every": "1 epoch", "keep_last": 5},
    }
    for key, value in sections.items():
        given[key] = {**given[key], **value} if isinstance(value, dict) and key in given else value
    return resolve(given)


@pytest.fixture(scope="module")
def complete(tmp_path_factory, small_table):
    """The data and the workdir of a run of six steps, with checkpoints at steps 3 and 6."""
    root = tmp_path_factory.mktemp("complete")
    data = write_data(root / "data")
    small = GoogLeNet(num_classes=3, normalization="none", table=small_table, dropout=0.0)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(program, "build_model", lambda _: small)
        result = train(config_of(data), str(root / "run"))
    assert result["step"] == 6
    return data, root / "run"


@pytest.fixture
def stopped(complete, tmp_path):
    """A copy of the run and its data, as if it had been stopped after step 3."""
    data, workdir = complete
    shutil.copytree(data, tmp_path / "data")
    shutil.copytree(workdir, tmp_path / "run")
    shutil.rmtree(tmp_path / "run/checkpoints/6")
    return tmp_path / "data", tmp_path / "run"


def refused(config, workdir, words) -> str:
    before = {path: path.stat().st_mtime_ns for path in workdir.rglob("*") if path.is_file()}
    with pytest.raises(UserError, match=words) as caught:
        train(config, str(workdir))
    after = {path: path.stat().st_mtime_ns for path in workdir.rglob("*") if path.is_file()}
    assert after == before, "nothing is written"
    return str(caught.value)


def test_splits_with_other_classes_are_refused(tmp_path):
    write_images(tmp_path, "train", ANIMALS, 8)
    write_images(tmp_path, "val", ("ant", "cat", "dog"), 4)
    message = refused(
        config_of(tmp_path), tmp_path / "run", "training split and of the validation split differ"
    )
    assert 'class 1 is "bee" in the one and "cat" in the other' in message


def test_a_resumed_run_notices_a_renamed_class(stopped):
    data, workdir = stopped
    for split in ("train", "val"):
        (data / split / "bee").rename(data / split / "zebra")
    message = refused(config_of(data), workdir, "and of the data set differ")
    assert 'class 1 is "bee" in the one and "cat" in the other' in message


@pytest.mark.parametrize("split", ["train", "val"])
def test_a_resumed_run_notices_a_smaller_data_set(stopped, split):
    data, workdir = stopped
    (data / split / "bee/0.png").unlink()
    count = {"train": (24, 23), "val": (12, 11)}[split]
    refused(config_of(data), workdir, f'split "{split}": it had {count[0]} examples and has {count[1]}')


def test_a_checkpoint_past_the_end_is_refused(stopped):
    """Format 2 does not record the data set, but the step and the duration contradict each other."""
    data, workdir = stopped
    file = workdir / "checkpoints/3/description/metadata"
    file.write_text(json.dumps({**json.loads(file.read_text()), "format": 2, "data": {}}))
    checkpoints.integrity.write_digests(resolve_path(workdir / "checkpoints/3"))
    for path in (data / "train").glob("*/[2-7].png"):
        path.unlink()
    refused(
        config_of(data),
        workdir,
        'at step 3, but config.duration "2 epochs" ends at step 2 with this data set',
    )


def test_a_renamed_checkpoint_is_refused(stopped):
    data, workdir = stopped
    (workdir / "checkpoints/3").rename(workdir / "checkpoints/5")
    refused(config_of(data), workdir, "checkpoints/5 holds step 3, not 5")


def test_a_complete_run_is_verified_before_its_result_is_returned(complete, tmp_path, caplog):
    data, workdir = complete
    shutil.copytree(workdir, tmp_path / "run")
    result = train(config_of(data), str(tmp_path / "run"))
    assert result["step"] == 6
    damage(tmp_path / "run", 6)
    again = train(config_of(data), str(tmp_path / "run"))
    assert "resuming at step 3 of 6" in caplog.text
    times = dict.fromkeys(("images_per_second", "goodput"))
    assert again | times == result | times
    for path in ("6", "corrupt-6"):
        assert (tmp_path / "run/checkpoints" / path).is_dir()


def damage(workdir, step) -> pathlib.Path:
    """Append a byte to a file of a checkpoint."""
    weights = workdir / "checkpoints" / str(step) / "weights"
    file = next(path for path in weights.rglob("*") if path.is_file())
    file.write_bytes(file.read_bytes() + b"?")
    return file


def test_a_corrupt_checkpoint_stays_where_it_is_if_the_run_is_refused(complete, tmp_path):
    data, workdir = complete
    shutil.copytree(workdir, tmp_path / "run")
    damage(tmp_path / "run", 6)
    refused(config_of(data, seed=7), tmp_path / "run", "checkpoints of another experiment: config.seed")


def test_a_run_whose_checkpoints_are_all_corrupt_does_not_start_over(complete, tmp_path):
    data, workdir = complete
    shutil.copytree(workdir, tmp_path / "run")
    files = [damage(tmp_path / "run", step) for step in (3, 6)]
    for _ in range(2):
        message = refused(config_of(data), tmp_path / "run", "no sound checkpoint to resume from")
        assert all(str(file) in message for file in files)


def test_a_second_run_in_a_workdir_is_refused(complete, tmp_path):
    data, workdir = complete
    shutil.copytree(workdir, tmp_path / "run")
    first = WorkdirLock(resolve_path(tmp_path / "run"))
    first.acquire()
    message = refused(config_of(data), tmp_path / "run", f"uses the workdir {tmp_path}/run; stop it")
    assert f"Process {os.getpid()} on {socket.gethostname()}, which started at 20" in message
    first.release()
    assert train(config_of(data), tmp_path / "run")["step"] == 6
    assert not (tmp_path / "run/.owner.json").exists()


def test_a_workdir_that_another_run_has_filled_in_the_meantime(complete, tmp_path, monkeypatch):
    data, workdir = complete

    def copy(*_, **__):
        shutil.copytree(workdir, tmp_path / "run")
        return {}

    monkeypatch.setattr(loop, "identify_data", copy)
    with pytest.raises(UserError, match=f"Another run has saved checkpoints in {tmp_path}/run in the meant"):
        train(config_of(data), tmp_path / "run")


@pytest.mark.parametrize(
    ("harm", "words"),
    [
        # Moved at once, because a thread of the run may write a file into a directory that is being deleted.
        pytest.param(
            lambda workdir: workdir.rename(workdir.with_name("moved")),
            "was deleted or moved while this run wrote to it",
            id="moved",
        ),
        pytest.param(
            lambda workdir: (workdir / ".owner.json").write_text('{"id": 7, "host": "x", "process": 3}'),
            "Process 3 on x, which started at None, has begun to use the workdir",
            id="taken",
        ),
    ],
)
def test_a_run_that_has_lost_its_workdir_ends_at_the_next_save(complete, tmp_path, monkeypatch, harm, words):
    save = Saver.save

    def save_and_lose(saver, *arguments, **options):
        save(saver, *arguments, **options)
        saver._checkpoints.wait()
        harm(tmp_path / "run")

    monkeypatch.setattr(Saver, "save", save_and_lose)
    with pytest.raises(UserError, match=words):
        train(config_of(complete[0]), tmp_path / "run")


def test_metrics_are_restored_from_the_checkpoint(complete, stopped):
    data, workdir = stopped
    (workdir / "metrics.jsonl").unlink()
    (workdir / "checkpoints/9999").mkdir()
    moved = shutil.move(data, data.parent / "moved")
    result = train(config_of(moved), str(workdir))
    (expected, found) = (
        [
            {name: value for name, value in record.items() if name not in TIMINGS}
            for record in read_metrics(path)
        ]
        for path in (complete[1], workdir)
    )
    assert found == expected, "the same as a run that was never stopped"
    assert result["step"] == 6
    assert (workdir / "checkpoints/incomplete-9999").is_dir()


def test_a_directory_in_place_of_the_metrics_is_named(stopped):
    data, workdir = stopped
    (workdir / "metrics.jsonl").unlink()
    (workdir / "metrics.jsonl").mkdir()
    refused(config_of(data), workdir, f"Cannot write {workdir}/metrics.jsonl: Is a directory; move away")


def test_a_workdir_that_cannot_be_written(complete):
    # Permissions do not stop root, who may run this test; a file system that takes no files does.
    with pytest.raises(UserError, match="Cannot write to the workdir /proc/self:"):
        train(config_of(complete[0]), "/proc/self")


def test_averaged_weights_are_evaluated_and_saved_with_their_own_statistics(tmp_path):
    data = write_data(tmp_path / "data")
    config = config_of(data, model={"normalization": "batch"}, averaging={"kind": "polyak"})
    result = train(config, str(tmp_path / "run"))
    loaded = flax_googlenet.load(tmp_path / "run")
    evaluator = Evaluator(
        [Member(loaded.model, config.data)], open_source(config.data, "val"), data_mesh(), batch_size=8
    )
    figures = evaluator([loaded.variables])
    assert (figures["top1"], figures["loss"]) == (result["top1"], result["loss"])
    with checkpoints.opened(str(tmp_path / "run")) as checkpoint:
        on_host = checkpoints.read_weights(checkpoint)
    jax.tree.map(np.testing.assert_array_equal, on_host, jax.device_get(loaded.variables))

    # A run resumed from format 2, which has no such statistics, ends with the same weights.
    shutil.rmtree(tmp_path / "run/checkpoints/6")
    as_format_2(tmp_path / "run/checkpoints/3")
    train(config, str(tmp_path / "run"))
    again = flax_googlenet.load(tmp_path / "run").variables
    jax.tree.map(np.testing.assert_array_equal, again, loaded.variables)


def as_format_2(checkpoint: pathlib.Path) -> None:
    """Rewrite a checkpoint without the item that format 2 lacks."""
    arrays = {name: checkpoints.arrays.restore_item(checkpoint, name) for name in ("weights", "optimizer")}
    description = checkpoints.describe(checkpoint)
    del arrays["weights"]["averaged_batch_stats"]
    shutil.rmtree(checkpoint)
    saved = checkpoints.Checkpoints(str(checkpoint.parent.parent), keep_last=5, keep_best=0)
    saved.save(description.step, **arrays, description=description)
    saved.close()
