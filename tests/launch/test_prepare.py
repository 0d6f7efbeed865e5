"""ImageNet from its two tars to a trained and evaluated network, by the commands."""

import json
import shutil
import signal
import subprocess
import sys

import pytest

from benchmarks.imagenet_tars.tars import validation_classes
from flax_googlenet.data.preparation import prepare_dataset
from flax_googlenet.data.sources.tfds import find_builder
from flax_googlenet.errors import UserError
from tests.support.commands import REPOSITORY, TINY, error_of, process_environment, result_of
from tests.support.files import contents, leftovers
from tests.support.sources import open_tfds, records

pytestmark = pytest.mark.slow


def test_the_same_command_reports_a_complete_data_set(launch, imagenet):
    before = contents(imagenet)
    process = launch("prepare", "--dataset=imagenet2012", f"--data_dir={imagenet}")
    assert f"imagenet2012/5.1.0 is complete in {imagenet}/imagenet2012/5.1.0" in process.stderr
    assert "every image of imagenet2012/5.1.0 was decoded before" in process.stderr
    assert result_of(process) == {
        "dataset": "imagenet2012",
        "version": "5.1.0",
        "data_dir": str(imagenet),
        "splits": {"train": 32, "validation": 10},
        "bad_images": 0,
        "damaged_images": 0,
    }
    assert contents(imagenet) == before


# Kills its own process with SIGKILL when a function is called for the nth time.
KILLED = """
import importlib, os, runpy, signal, sys
module, owner, name, calls, *arguments = sys.argv[1:]
owner = getattr(importlib.import_module(module), owner) if owner else importlib.import_module(module)
original, left = getattr(owner, name), int(calls)
def deadly(*args, **kwargs):
    global left
    left -= 1
    if not left:
        os.kill(os.getpid(), signal.SIGKILL)
    return original(*args, **kwargs)
setattr(owner, name, deadly)
sys.argv = ["launch.prepare", *arguments]
runpy.run_module("launch.prepare", run_name="__main__")
"""


def kill(function: str, calls: int, *arguments: str) -> None:
    """Run `launch.prepare` until call number `calls` of MODULE:CLASS.METHOD or MODULE:.FUNCTION kills it."""
    module, _, name = function.partition(":")
    process = subprocess.run(
        [sys.executable, "-c", KILLED, module, *name.split("."), str(calls), *arguments],
        cwd=REPOSITORY,
        env=process_environment(),
        capture_output=True,
        text=True,
        check=False,
    )
    assert process.returncode == -signal.SIGKILL, process.stderr


@pytest.mark.parametrize(
    ("function", "calls"),
    [
        pytest.param("tensorflow_datasets.core.writer:Writer.write", 37, id="in the second split"),
        pytest.param(
            "tensorflow_datasets.core.dataset_info:DatasetInfo.write_to_directory", 1, id="at the end"
        ),
    ],
)
def test_a_killed_build_is_started_again(imagenet, imagenet_tars, tmp_path, function, calls):
    kill(function, calls, "--dataset=imagenet2012", f"--data_dir={tmp_path}", f"--manual_dir={imagenet_tars}")
    result = prepare_dataset("imagenet2012", str(tmp_path), str(imagenet_tars))
    assert (result["splits"], result["bad_images"]) == ({"train": 32, "validation": 10}, 0)
    assert records(tmp_path) == records(imagenet)
    assert not leftovers(tmp_path)


REWRITING = [
    pytest.param("flax_googlenet.progress:Progress.advance", 40, id="in the second file"),
    pytest.param("tensorflow_datasets.core.dataset_info:.get_dataset_info_json", 1, id="at the end"),
]


@pytest.mark.parametrize(("function", "calls"), REWRITING)
def test_a_killed_conversion_is_resumed(imagenet, tfrecord, function, calls):
    kill(function, calls, "--dataset=imagenet2012", f"--data_dir={tfrecord}")
    with pytest.raises(UserError, match="holds tfrecord files"):
        open_tfds(tfrecord)
    prepare_dataset("imagenet2012", str(tfrecord))
    assert records(tfrecord) == records(imagenet)
    assert not leftovers(tfrecord)


@pytest.mark.parametrize(("function", "calls"), REWRITING)
def test_a_killed_copy_is_resumed(imagenet, tmp_path, function, calls):
    killed, whole = (str(shutil.copytree(imagenet, tmp_path / name)) for name in ("killed", "whole"))
    kill(function, calls, "--dataset=imagenet2012", f"--data_dir={killed}", "--shorter_side=64")
    dataset = "imagenet2012/shorter_side_64"
    assert find_builder(dataset, killed) is None
    prepare_dataset("imagenet2012", killed, shorter_side=64)
    prepare_dataset("imagenet2012", whole, shorter_side=64)
    assert records(killed, dataset) == records(whole, dataset)
    assert not leftovers(tmp_path)


def test_apache_beam_gives_the_same_records(launch, tmp_path):
    """A builder that does not use Apache Beam runs without it, with a warning."""
    arguments = (
        f"--data_dir={tmp_path}",
        "--imports=tests.support.own_builders",
        "--beam_runner=DirectRunner",
    )
    plain, beam = (
        launch("prepare", f"--dataset={name}", *arguments) for name in ("photographs", "photographs_by_beam")
    )
    assert result_of(plain)["splits"] == result_of(beam)["splits"] == {"train": 40, "test": 10}
    warning = "does not use Apache Beam; TFDS ran it in this process instead"
    assert f"warning: the builder of photographs {warning}" in plain.stderr
    assert warning not in beam.stderr
    assert records(tmp_path, "photographs_by_beam") == records(tmp_path, "photographs")


@pytest.mark.usefixtures("quick_to_compile")
def test_imagenet_trains_and_every_validation_image_is_evaluated_once(launch, imagenet, tmp_path):
    trained = launch(
        "train",
        f"--workdir={tmp_path}",
        "--config.data.source=tfds",
        "--config.data.dataset=imagenet2012",
        f"--config.data.path={imagenet}",
        "--config.model.num_classes=1000",
        "--config.model.aux_heads=0",
        *TINY,
        "--config.duration=2 steps",
        "--config.evaluation.batch_size=16",
    )
    assert result_of(trained)["step"] == 2
    assert "evaluated 10 images" in trained.stderr
    process = launch("evaluate", f"--checkpoint={tmp_path}", f"--out={tmp_path / 'report'}")
    assert result_of(process)["num_examples"] == 10
    classes = json.loads((tmp_path / "report/results.json").read_text())["classes"]
    seen = {row["name"]: row["examples"] for row in classes if row["examples"]}
    expected = validation_classes()[:10]
    assert seen == {wnid: expected.count(wnid) for wnid in expected}


@pytest.mark.parametrize(
    ("arguments", "status", "words"),
    [
        ([], 2, "--dataset"),
        (["--dataset=imagnet2012"], 1, 'did you mean "imagenet2012"?'),
        (["--dataset=imagenet2012"], 1, "no file {empty}/downloads/manual/ILSVRC2012_img_train.tar"),
        (["--dataset=imagenet2012", "--manual_dir=/nowhere"], 1, "no file /nowhere/ILSVRC2012_img_train.tar"),
        (["--dataset=mine", "--imports=no_such_module"], 1, "--imports=no_such_module: No module named"),
    ],
)
def test_a_mistake_is_one_sentence(run_here, tmp_path, arguments, status, words):
    process = run_here("prepare", f"--data_dir={tmp_path}", *arguments)
    assert words.format(empty=tmp_path) in error_of(process, status)
    assert not contents(tmp_path)


def test_training_says_how_to_prepare(run_here, tmp_path):
    process = run_here(
        "train",
        f"--workdir={tmp_path / 'run'}",
        "--config.data.source=tfds",
        "--config.data.dataset=imagenet2012",
        f"--config.data.path={tmp_path}",
    )
    call = f"prepare_dataset('imagenet2012', data_dir='{tmp_path}')"
    assert error_of(process).endswith(f"the command launch.prepare (see docs/imagenet.md) or {call}.")
