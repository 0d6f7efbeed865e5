import json
import os
import pty
import shutil
import subprocess
import sys
import termios

import cv2
import pytest
from sklearn.datasets import load_sample_images

from tests.support.commands import REPOSITORY, process_environment

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def photos(tmp_path_factory):
    """Crops of two photographs in an image folder with every kind of problem."""
    root = tmp_path_factory.mktemp("photos")
    for name, pixels in zip(("temple", "flower"), load_sample_images().images, strict=True):
        for split, count in (("train", 12), ("val", 4)):
            (root / split / name).mkdir(parents=True)
            for index in range(count):
                top = 20 * index + (300 if split == "val" else 0)
                cropped = pixels[top : top + 64, 2 * index : 2 * index + 80 + index, ::-1]
                cv2.imwrite(str(root / split / name / f"{index:02}.jpg"), cropped)
    shutil.copy(root / "train/flower/03.jpg", root / "val/flower/leak.jpg")
    shutil.copy(root / "train/flower/03.jpg", root / "train/temple/copy.jpg")
    for index in range(25):
        (root / f"train/temple/empty_{index}.jpg").touch()
    (root / "val/temple/gone.png").symlink_to("nowhere")
    (root / "val/temple" / os.fsdecode(b"caf\xe9.jpg")).touch()
    os.mkfifo(root / "val/temple/pipe.jpg")
    (root / "val/temple/directory.jpg").mkdir()
    extraneous = (root / "val/temple/00.jpg").read_bytes()[:-2] + b"more" * 20 + b"\xff\xd9"
    (root / "val/temple/damaged.jpg").write_bytes(extraneous)
    return root


def test_problems_are_counted_and_listed(launch, photos, tmp_path):
    process = launch(
        "check_data",
        "--config=configs/imagenet.py",
        f"--config.data.path={photos}",
        f"--out={tmp_path}/report",
    )
    assert process.returncode == 0, process.stderr
    (line,) = process.stdout.splitlines()
    assert json.loads(line) == {
        "splits": {"train": 50, "val": 12},
        "classes": {"train": 2, "val": 2},
        "class_names_agree": True,
        "bad_images": 27,
        "damaged_images": 1,
        "labels_out_of_range": 0,
        "duplicates": 1,
        "duplicates_across_splits": 1,
        "label_conflicts": 1,
        "network_classes": 1000,
        "report": f"{tmp_path}/report/report.json",
    }
    lines = process.stderr.splitlines()
    assert "train: 50 images in 2 classes; 25 JPEG" in lines
    assert "train: longer side 80 to 91 pixels, median 85" in lines
    assert "The data set has 2 classes and the network 1000" in lines
    assert "Corrupt images: 27" in lines
    assert sum("is empty; remove it" in line for line in lines) == 20
    assert "  and 7 more" in lines
    assert "Images with decoder warnings: 1" in lines
    (warning,) = [
        line for line in lines if "extraneous bytes before marker" in line and "damaged.jpg" in line
    ]
    assert warning.startswith(f"  {photos}/val/temple/damaged.jpg: Corrupt JPEG data: ")
    first = f"train: {photos}/train/flower/03.jpg"
    assert f"  val: {photos}/val/flower/leak.jpg is {first}" in lines
    assert f"  train: {photos}/train/temple/copy.jpg is {first}, of class temple and flower" in lines
    report = json.loads((tmp_path / "report/report.json").read_text())
    assert len(report["bad_images"]) == 27
    assert [problem["name"] for problem in report["damaged_images"]] == [f"{photos}/val/temple/damaged.jpg"]
    gone = {"split": "val", "name": f"{photos}/val/temple/gone.png"}
    assert report["bad_images"][-1] == {**gone, "reason": "it cannot be read: No such file or directory"}
    assert (tmp_path / "report/class_histogram.png").stat().st_size > 10_000


def test_the_embedded_sample_is_sound(launch):
    process = launch("check_data")
    result = json.loads(process.stdout)
    assert result["splits"] == {"train": 4000, "val": 1000}
    assert [result[name] for name in ("bad_images", "duplicates", "duplicates_across_splits")] == [0, 0, 0]
    assert "report" not in result


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (
            ["--config=configs/imagenet.py", "--config.data.path=/nowhere"],
            "There is no directory /nowhere/train",
        ),
        (["--out=/proc/report"], "Cannot write to /proc/report"),
        (["--otu=x"], "There is no flag --otu; did you mean --out?"),
    ],
)
def test_mistakes_are_one_sentence(launch, arguments, words):
    process = launch("check_data", *arguments)
    assert (process.returncode, process.stdout) == (1, "")
    assert process.stderr.splitlines()[-1].startswith(f"error: {words}")
    assert "Traceback" not in process.stderr


def test_a_terminal_gets_a_bar(photos):
    terminal, its_end = pty.openpty()
    termios.tcsetwinsize(terminal, (24, 80))
    command = [sys.executable, "-m", "launch.check_data", "--config=configs/imagenet.py"]
    process = subprocess.Popen(
        [*command, f"--config.data.path={photos}"],
        cwd=REPOSITORY,
        env=process_environment(),
        stdout=subprocess.PIPE,
        stderr=its_end,
    )
    os.close(its_end)
    written = b""
    try:
        while chunk := os.read(terminal, 65536):
            written += chunk
    except OSError:  # on Linux, the other end is closed
        pass
    os.close(terminal)
    assert process.communicate()[0].count(b"\n") == 1
    assert process.returncode == 0
    assert b"100%" in written
    assert b"62/62" in written
