"""The loaders to compare do the same work, and the command measures all of them."""

import collections
import json
import subprocess
import sys

import numpy as np
import pytest

from benchmarks import tables
from benchmarks.input_pipeline.decoders import DECODERS
from benchmarks.input_pipeline.loaders import LOADERS
from benchmarks.photographs import jpeg
from tests.support.commands import REPOSITORY, process_environment, run_module

pytestmark = pytest.mark.slow

# DALI is too large for the environment of the tests; the group `benchmarks` installs it.
INSTALLED = sorted(set(LOADERS) - {"dali"})


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    root = tmp_path_factory.mktemp("images")
    for index in range(24):
        file = root / "train" / f"class_{index % 3}" / f"{index}.jpg"
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_bytes(jpeg(index))
    return root


SCRIPT = """
import itertools, json, os, pathlib, sys
import numpy as np
import psutil
from absl import flags
from benchmarks.input_pipeline.loaders import LOADERS

if __name__ == "__main__":
    flags.FLAGS(sys.argv[:1])
    batches = LOADERS[sys.argv[1]].make(pathlib.Path(sys.argv[2]), 16, 2)
    crops = {"labels": [], "means": []}
    for images, labels in itertools.islice(batches, 6):
        images = np.asarray(images)
        assert images.dtype == np.uint8 and sorted(images.shape) == [3, 16, 224, 224], images.shape
        crops["labels"] += np.ravel(labels).tolist()
        crops["means"] += images.mean((1, 2, 3)).tolist()
    print(json.dumps(crops), flush=True)
    # Worker processes that outlive this one would keep stdout open.
    for worker in psutil.Process().children(recursive=True):
        worker.kill()
    os._exit(0)
"""


@pytest.mark.parametrize("name", INSTALLED)
def test_loaders_return_random_crops_of_all_classes(name, folder, tmp_path):
    script = tmp_path / "script.py"
    script.write_text(SCRIPT)
    process = subprocess.run(
        [sys.executable, script, name, folder],
        cwd=REPOSITORY,
        env={**process_environment(), "PYTHONPATH": str(REPOSITORY), "TF_CPP_MIN_LOG_LEVEL": "3"},
        capture_output=True,
        text=True,
        check=False,
        timeout=120,
    )
    assert process.returncode == 0, process.stderr
    crops = json.loads(process.stdout.splitlines()[-1])
    labels = collections.Counter(crops["labels"])
    # Each class is expected 32 times. torchvision's loader draws with replacement: the deviation is 4.6.
    assert set(labels) == {0, 1, 2}
    assert min(labels.values()) >= 10
    # The mean brightness of random crops of these two photographs is within these bounds.
    assert 90 < np.mean(crops["means"]) < 150
    assert len(set(crops["means"])) > 80


def test_the_command_measures_and_names_what_is_missing(tmp_path):
    out = tmp_path / "result.json"
    process = run_module(
        *("benchmarks.input_pipeline", "--rounds=1", "--seconds=1", "--long=2", "--batch_size=8"),
        *("--loaders=ours,tf_data,torchvision,dali", f"--out={out}"),
    )
    assert process.returncode == 0, process.stderr
    result = json.loads(process.stdout.splitlines()[-1])
    measured = {"ours", "tf_data", "torchvision", *DECODERS}
    assert set(result["loaders"]) == measured
    for row in result["loaders"].values():
        assert row["images_per_second"] > 1
        assert row["cpu_milliseconds"] > 0.01
        assert row["peak_megabytes"] > 50
    assert result["missing"] == {"dali": "the module nvidia.dali is not installed"}
    assert result["long_run"]["images"] > 0
    assert json.loads(out.read_text()) == result
    table = tables.input_pipeline(result)
    assert "| DALI, CPU pipeline | not run: the module nvidia.dali is not installed |" in table
    assert "| ours, with nvimgcodec |" in table


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (("--images=/nowhere",), "There are no JPEG files in /nowhere"),
        (("--loaders=ours,tfdata",), 'There is no loader "tfdata"; did you mean "tf_data"?'),
    ],
)
def test_mistakes_are_one_sentence(arguments, words):
    process = run_module("benchmarks.input_pipeline", *arguments)
    assert process.returncode == 1
    assert process.stderr.splitlines()[-1].startswith(f"error: {words}")
