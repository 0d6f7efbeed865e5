import cv2
import jax
import numpy as np
import pytest

from flax_googlenet.config import resolve
from flax_googlenet.data import Example
from flax_googlenet.evaluation import Evaluator
from flax_googlenet.models import GoogLeNet
from flax_googlenet.sharding import data_mesh

COUNT = 21


class Noise:
    class_names = tuple("abcd")

    def __init__(self, count: int) -> None:
        draw = np.random.default_rng(0)
        images = draw.integers(0, 256, (count, 32, 32, 3), dtype=np.uint8)
        encoded = [cv2.imencode(".png", image)[1].tobytes() for image in images]
        self._examples = [Example(each, int(draw.integers(4)), "noise") for each in encoded]

    def __len__(self) -> int:
        return len(self._examples)

    def __getitem__(self, index: int) -> Example:
        return self._examples[index]


@pytest.fixture(scope="module")
def network(small_table):
    model = GoogLeNet(num_classes=4, table=small_table, kernel_init=jax.nn.initializers.he_normal())
    return model, jax.jit(model.init)(jax.random.key(0), np.zeros((1, 32, 32, 3), np.float32))


@pytest.fixture(scope="module")
def expected(network):
    """One example at a time, on one device: nothing is padded."""
    return evaluate(network, devices=1, batch_size=1)


def evaluate(network, devices: int, batch_size: int):
    config = resolve(
        {
            "model": {"num_classes": 4},
            "data": {"image_size": 32, "resize": 32},
            "evaluation": {"batch_size": batch_size},
        }
    )
    model, variables = network
    variables = jax.device_put(variables, jax.devices()[0])  # as `load` leaves them
    return Evaluator(config, model, Noise(COUNT), data_mesh(jax.devices()[:devices]))(variables)


@pytest.mark.parametrize("devices", [1, 2, 8])
@pytest.mark.parametrize("batch_size", [4, 5, 20, 21, 100])
def test_every_example_counts_once_on_any_devices(network, expected, devices, batch_size):
    found = evaluate(network, devices, batch_size)
    assert found["num_examples"] == COUNT
    assert (found["top1"], found["top5"]) == (expected["top1"], expected["top5"])
    np.testing.assert_allclose(found["loss"], expected["loss"], rtol=1e-5)


def test_is_the_mean_over_examples(expected):
    assert 0 < expected["top1"] < 1
    assert expected["top5"] == 1.0, "there are four classes"
    assert expected["top1"] * COUNT == pytest.approx(round(expected["top1"] * COUNT))
