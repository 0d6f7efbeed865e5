"""What a user meets who has broken images: by default a name, with `data.on_error=skip` a number."""

import json

import pytest

from tests.conftest import TINY
from tests.support import images

pytestmark = pytest.mark.slow

BROKEN = ("empty", "half a jpeg", "text", "30,000 x 30,000 png")
NETWORK = ("--config=configs/imagenet.py:variant=paper", "--config.model.num_classes=2", *TINY)


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """16 good images of each class and split, under any name, and a broken one of each kind in the first."""
    root = tmp_path_factory.mktemp("images")
    kinds = [make for make, _, _ in images.DECODABLE.values()]
    for split in ("train", "val"):
        for name in ("ant", "bee"):
            directory = root / split / name
            directory.mkdir(parents=True)
            for index in range(16):
                (directory / f"{index}.JPEG").write_bytes(kinds[index % len(kinds)]())
        for index, kind in enumerate(BROKEN):
            (root / split / "ant" / f"broken_{index}.JPEG").write_bytes(images.CORRUPT[kind]())
    return root


def test_a_broken_image_stops_the_run_by_name(launch, folder, tmp_path):
    process = launch("train", *NETWORK, f"--workdir={tmp_path}/run", f"--config.data.path={folder}")
    assert process.returncode == 1
    last = process.stderr.splitlines()[-1]
    assert last.startswith(f"error: {folder}/train/ant/broken_")
    assert last.endswith((" remove it or replace it.", " replace it by a smaller copy."))
    assert "Traceback" not in process.stderr


def test_broken_images_are_replaced_named_and_counted(launch, folder, tmp_path):
    run = tmp_path / "run"
    asked = (*NETWORK, f"--workdir={run}", f"--config.data.path={folder}", "--config.data.on_error=skip")
    process = launch("train", *asked)
    assert process.returncode == 0, process.stderr
    result = json.loads(process.stdout.splitlines()[-1])
    # 40 steps of 16 are 17 whole epochs of 36, and 28 of the next; four are broken.
    assert 17 * len(BROKEN) <= result["bad_images"] <= 18 * len(BROKEN)
    records = [json.loads(line) for line in (run / "metrics.jsonl").read_text().splitlines()]
    assert sum(record.get("train/bad_images", 0) for record in records) == result["bad_images"]
    for index in range(len(BROKEN)):
        for split, fate in (("train", "Another image takes its place."), ("val", "It is not evaluated.")):
            named = [line for line in process.stderr.splitlines() if f"/{split}/ant/broken_{index}" in line]
            assert len(named) == 1
            assert named[0].startswith("warning: ")
            assert named[0].endswith(fate)

    process = launch("evaluate", f"--checkpoint={run}")
    evaluated = json.loads(process.stdout.splitlines()[-1])
    assert (evaluated["num_examples"], evaluated["bad_images"]) == (32, len(BROKEN))
    assert evaluated["loss"] == result["loss"]
    process = launch("evaluate", f"--checkpoint={run}", "--config.data.on_error=raise")
    assert process.returncode == 1
    assert "broken_" in process.stderr.splitlines()[-1]
