"""Training on corrupt images: an error that names one by default, a count with `data.on_error=skip`."""

import json

import pytest

from tests.support import images
from tests.support.commands import TINY

pytestmark = [pytest.mark.slow, pytest.mark.usefixtures("quick_to_compile")]

CORRUPT = ("empty", "half a jpeg", "text", "30,000 x 30,000 png")
NETWORK = ("--config=configs/imagenet.py:variant=paper", "--config.model.num_classes=2", *TINY)


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """16 images per class and split in every format, and corrupt images of each kind in the first class."""
    root = tmp_path_factory.mktemp("images")
    kinds = [make for make, _, _ in images.DECODABLE.values()]
    for split in ("train", "val"):
        for name in ("ant", "bee"):
            directory = root / split / name
            directory.mkdir(parents=True)
            for index in range(16):
                (directory / f"{index}.JPEG").write_bytes(kinds[index % len(kinds)]())
        for index, kind in enumerate(CORRUPT):
            (root / split / "ant" / f"corrupt_{index}.JPEG").write_bytes(images.CORRUPT[kind]())
    return root


def test_a_corrupt_image_stops_the_run_by_name(launch, folder, tmp_path):
    process = launch("train", *NETWORK, f"--workdir={tmp_path}/run", f"--config.data.path={folder}")
    assert process.returncode == 1
    last = process.stderr.splitlines()[-1]
    assert last.startswith(f"error: {folder}/train/ant/corrupt_")
    assert last.endswith((" remove it or replace it.", " replace it by a smaller copy."))
    assert "Traceback" not in process.stderr


def test_corrupt_images_are_replaced_named_and_counted(launch, folder, tmp_path):
    run = tmp_path / "run"
    arguments = (*NETWORK, f"--workdir={run}", f"--config.data.path={folder}", "--config.data.on_error=skip")
    process = launch("train", *arguments)
    assert process.returncode == 0, process.stderr
    result = json.loads(process.stdout.splitlines()[-1])
    # 40 steps of 16 images are 17 epochs of 36 images and 28 images of the next; four images are corrupt.
    assert 17 * len(CORRUPT) <= result["bad_images"] <= 18 * len(CORRUPT)
    records = [json.loads(line) for line in (run / "metrics.jsonl").read_text().splitlines()]
    assert sum(record.get("train/bad_images", 0) for record in records) == result["bad_images"]
    for index in range(len(CORRUPT)):
        for split, fate in (("train", "Another image takes its place."), ("val", "It is not evaluated.")):
            named = [line for line in process.stderr.splitlines() if f"/{split}/ant/corrupt_{index}" in line]
            assert len(named) == 1
            assert named[0].startswith("warning: ")
            assert named[0].endswith(fate)

    process = launch("evaluate", f"--checkpoint={run}")
    evaluated = json.loads(process.stdout.splitlines()[-1])
    assert (evaluated["num_examples"], evaluated["bad_images"]) == (32, len(CORRUPT))
    assert evaluated["loss"] == result["loss"]
    process = launch("evaluate", f"--checkpoint={run}", "--config.data.on_error=raise")
    assert process.returncode == 1
    assert "corrupt_" in process.stderr.splitlines()[-1]
