"""Mistakes that a command finds after its start. Each is one sentence and leaves files as they are."""

import pytest

from tests.support.commands import TINY, error_of
from tests.support.files import contents

pytestmark = pytest.mark.slow


@pytest.mark.parametrize(
    ("arguments", "status", "words"),
    [
        (["--config.batch_size=many"], 2, "config.batch_size is 'many'; it must be a whole number"),
        ([*TINY, "--config.optimizer.freeze=sten/*"], 1, '"sten/*", which matches no parameter'),
    ],
)
def test_a_mistake_is_one_sentence(run_here, tmp_path, arguments, status, words):
    """tests/launch/common/test_command.py has many more, which need no data."""
    workdir = tmp_path / "run"
    assert words in error_of(run_here("train", *arguments, f"--workdir={workdir}"), status)
    assert not list(workdir.glob("checkpoints/*"))


def test_a_batch_that_cannot_be_split(run_here, tmp_path):
    process = run_here("train", f"--workdir={tmp_path}", "--config.batch_size=12")
    assert "12 cannot be split over 8 devices; use a multiple of 8, such as 16" in error_of(process)


def test_another_experiments_workdir_is_left_alone(run_here, trained):
    before = contents(trained)
    process = run_here("train", f"--workdir={trained}", *TINY, "--config.optimizer.momentum=0.5")
    message = error_of(process)
    assert (
        "holds checkpoints of another experiment: config.optimizer.momentum is 0.9 there and 0.5 here"
        in message
    )
    assert contents(trained) == before


def test_weights_of_another_network(run_here, trained, tmp_path):
    workdir = tmp_path / "run"
    start = (*TINY, f"--workdir={workdir}", f"--config.init_from={trained}")
    process = run_here("train", *start, "--config.model.variant=torchvision")
    difference = "inception_3a/conv5x5/conv/kernel is (5, 5, 16, 32) there and (3, 3, 16, 32) here"
    assert f"{trained} is of another network: {difference}." in error_of(process)
    assert not workdir.exists()


def test_a_corrupt_image_and_a_missing_one(run_here, trained, tmp_path):
    (tmp_path / "cat.png").write_text("not a cat")
    process = run_here("predict", f"--checkpoint={trained}", tmp_path / "cat.png")
    assert f"{tmp_path}/cat.png is not an image" in error_of(process)
    process = run_here("predict", f"--checkpoint={trained}", tmp_path / "dog.png")
    assert f"{tmp_path}/dog.png cannot be read" in error_of(process)
