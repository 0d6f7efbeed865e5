import pathlib
import tempfile

import numpy as np
import PIL.Image
import pytest

from tests.launch.slurm.cluster import Cluster


@pytest.fixture(scope="session")
def cluster():
    started = Cluster(pathlib.Path(tempfile.mkdtemp(prefix="slurm-")))
    yield started
    started.stop()


@pytest.fixture(scope="session")
def images(tmp_path_factory):
    """An image folder with 16 images for training and 8 for validation."""
    directory = tmp_path_factory.mktemp("images")
    draw = np.random.RandomState(0)
    for split, count in (("train", 8), ("val", 4)):
        for label in ("a", "b"):
            (directory / split / label).mkdir(parents=True)
            for number in range(count):
                pixels = draw.randint(0, 256, (32, 32, 3), dtype=np.uint8)
                PIL.Image.fromarray(pixels).save(directory / split / label / f"{number}.jpg")
    return directory
