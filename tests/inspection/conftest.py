import numpy as np
import pytest

from benchmarks.random_weights import random_variables
from flax_googlenet.classifier import Classifier
from flax_googlenet.config import resolve
from flax_googlenet.models import GoogLeNet

SIZE = 32


@pytest.fixture(scope="session")
def network(small_table):
    """A small network whose score depends on every part of the image, and its variables."""
    model = GoogLeNet(num_classes=3, normalization="batch", aux_heads=2, table=small_table)
    return model, random_variables(model, SIZE)


@pytest.fixture(scope="session")
def image():
    return np.random.default_rng(1).normal(0, 1, (SIZE, SIZE, 3)).astype(np.float32)


@pytest.fixture(scope="session")
def classifier(network):
    """The small network as an opened checkpoint."""
    model, variables = network
    options = {"num_classes": 3, "normalization": "batch", "aux_heads": 2}
    config = resolve({"model": options, "data": {"image_size": SIZE, "resize": SIZE}})
    return Classifier(model, variables, config, ("cat", "dog", "$x"), 7, (), "runs/small")
