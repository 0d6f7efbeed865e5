import json

import pytest

from benchmarks import tables
from tests.support.commands import run_module

pytestmark = pytest.mark.slow

TINY = ("--image_size=64", "--batch_size=2", "--input_batch_size=8", "--steps=2", "--rounds=1", "--calls=1")


@pytest.mark.usefixtures("quick_to_compile")
def test_the_command_measures_training_from_files_and_the_input(tmp_path):
    out = tmp_path / "result.json"
    process = run_module(
        "benchmarks.end_to_end",
        *TINY,
        "--training=augmented",
        "--threads=1,3",
        "--lock_seconds=3",
        f"--out={out}",
    )
    assert process.returncode in (0, 3), process.stderr  # 3 is that of a busy machine
    result = json.loads(process.stdout.splitlines()[-1])
    assert json.loads(out.read_text()) == result
    assert list(result["results"]) == ["training, augmented", "input, files", "input, copies"]
    forms = result["results"]["training, augmented"]["forms"]
    assert 0 <= forms["step alone"]["waiting"] < 0.1
    assert 0 <= forms["from files"]["waiting"] < 1
    assert forms["from files"]["images_per_second"] == pytest.approx(
        4 / forms["from files"]["seconds"], abs=0.01
    )
    for images in ("files", "copies"):
        measured = result["results"][f"input, {images}"]["forms"]
        assert list(measured) == ["1 threads", "3 threads"]
        lock = result["lock"][images]
        # Not compared with each other: the time under the lock is sampled, and few samples are inexact.
        assert lock["held_microseconds"] > 0
        assert lock["cpu_microseconds"] > 0
        assert lock["cores_for_target"] == pytest.approx(18_400e-6 * lock["cpu_microseconds"], abs=0.1)
    assert result["kilobytes"]["copies"] < result["kilobytes"]["files"]
    table = tables.end_to_end(result)
    assert "| augmented | " in table
    assert "| cores for 18,400 images/s |" in table


def test_an_unknown_kind_of_training_is_refused():
    process = run_module("benchmarks.end_to_end", "--training=augmentd")
    assert process.returncode == 1
    assert '--training has no choice "augmentd"; did you mean "augmented"' in process.stderr
