"""A user's mistakes: one sentence that names the culprit and the way out, and nothing lost."""

import pytest

from tests.support.commands import TINY, error_of
from tests.support.files import contents

pytestmark = pytest.mark.slow


@pytest.mark.parametrize(
    ("name", "arguments", "status", "words"),
    [
        ("train", ["--wrkdir=x"], 1, "There is no flag --wrkdir; did you mean --workdir?"),
        ("train", ["--config.batch_size=many"], 2, "config.batch_size is 'many'; it must be a whole number"),
        ("train", ["--config=configs/imagenet.py", "--config.data.path=/nowhere"], 1, "/nowhere/train"),
        ("train", ["--config.init_from={empty}"], 1, "There is no checkpoint in {empty}"),
        ("train", [*TINY, "--config.optimizer.freeze=sten/*"], 1, '"sten/*", which matches no parameter'),
        ("evaluate", ["--checkpoint={empty}"], 1, "There is no checkpoint in {empty}"),
    ],
)
def test_is_one_sentence(launch, tmp_path, name, arguments, status, words):
    """As a process; tests/launch/test_command.py has what ends before a command begins."""
    empty = tmp_path / "empty"
    empty.mkdir()
    workdir = tmp_path / "run"
    arguments = [each.format(empty=empty) for each in arguments]
    if name == "train":
        arguments.append(f"--workdir={workdir}")
    assert words.format(empty=empty) in error_of(launch(name, *arguments), status)
    assert not list(workdir.glob("checkpoints/*")) if workdir.exists() else True
    assert not list(empty.iterdir())


def test_a_batch_that_cannot_be_split(launch, tmp_path):
    process = launch("train", f"--workdir={tmp_path}", "--config.batch_size=12", devices=8)
    assert "12 cannot be split over 8 devices; use a multiple of 8, such as 16" in error_of(process)


def test_another_experiments_workdir_is_left_alone(launch, trained):
    before = contents(trained)
    process = launch("train", f"--workdir={trained}", *TINY, "--config.optimizer.momentum=0.5")
    message = error_of(process)
    assert (
        "holds checkpoints of another experiment: config.optimizer.momentum is 0.9 there and 0.5 here"
        in message
    )
    assert contents(trained) == before


def test_weights_of_another_network(launch, trained, tmp_path):
    workdir = tmp_path / "run"
    start = (*TINY, f"--workdir={workdir}", f"--config.init_from={trained}")
    process = launch("train", *start, "--config.model.variant=torchvision")
    difference = "inception_3a/conv5x5/conv/kernel is (5, 5, 16, 32) there and (3, 3, 16, 32) here"
    assert f"{trained} is of another network: {difference}." in error_of(process)
    assert not workdir.exists()


def test_a_file_that_is_no_image(launch, trained, tmp_path):
    (tmp_path / "cat.png").write_text("not a cat")
    process = launch("predict", f"--checkpoint={trained}", tmp_path / "cat.png")
    assert f"{tmp_path}/cat.png is not an image" in error_of(process)
    process = launch("predict", f"--checkpoint={trained}", tmp_path / "dog.png")
    assert f"{tmp_path}/dog.png cannot be read" in error_of(process)
