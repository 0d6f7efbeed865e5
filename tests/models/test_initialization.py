"""Every variable is, to the bit, what `model.init` gives when all of it is compiled."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax.traverse_util import flatten_dict

from flax_googlenet.config import resolve
from flax_googlenet.config.schema import KEYS
from flax_googlenet.models import GoogLeNet, build_model
from flax_googlenet.models.initialization import INITIALIZERS, fill_constants, initial_variables


def assert_as_init(model: dict, table, seed: int = 0, image_size: int = 32) -> dict:
    config = resolve({"model": {"num_classes": 7, **model}}).model
    network = build_model(config)
    if table is not None:
        network = network.clone(table=table)
    images = jnp.zeros((1, image_size, image_size, 3), jnp.float32)
    expected = jax.device_get(jax.jit(network.init)(jax.random.key(seed), images))
    drawn = initial_variables(network, config.initializer, seed, image_size)
    assert jax.tree.structure(drawn) == jax.tree.structure(expected)
    jax.tree.map(np.testing.assert_array_equal, drawn, expected)
    assert {leaf.dtype for leaf in jax.tree.leaves(drawn)} == {np.dtype(np.float32)}
    return drawn


@pytest.mark.parametrize("initializer", INITIALIZERS)
@pytest.mark.parametrize(
    "model",
    [
        pytest.param({"variant": "paper"}, id="paper"),
        pytest.param({"variant": "torchvision"}, id="batch-norm"),
        pytest.param({"variant": "bvlc", "initial_bias": 0.2}, id="bias"),
        pytest.param({"head": "fully_connected", "aux_heads": 1}, id="fully-connected"),
        pytest.param({"dtype": "bfloat16"}, id="bfloat16"),
    ],
)
def test_equals_init(small_table, model, initializer):
    assert_as_init({**model, "initializer": initializer}, small_table, seed=3)


@pytest.mark.slow
@pytest.mark.parametrize(
    "model", [{"variant": "paper"}, {"variant": "bn", "initializer": "he"}], ids=["paper", "bn"]
)
def test_equals_init_for_kernels_of_many_blocks(model):
    drawn = assert_as_init(model, None)
    assert sum(leaf.size for leaf in jax.tree.leaves(drawn)) > 5_000_000


def test_equals_init_for_vgg16():
    assert_as_init({"variant": "vgg16"}, None)


def test_the_config_offers_every_initializer():
    assert KEYS["model.initializer"].kind.choices == tuple(INITIALIZERS)


def test_fill_constants_repeats_the_first_element():
    filled = fill_constants(lambda: {"a": jnp.full((3, 4), 2.5), "b": (jnp.ones((), jnp.int32), {})})
    np.testing.assert_array_equal(filled["a"], np.full((3, 4), 2.5, np.float32))
    assert filled["b"][0].dtype == np.int32
    assert (filled["b"][0].shape, filled["b"][1]) == ((), {})


def test_lecun_is_caffes_xavier(small_table):
    """Uniform in ±sqrt(3 / fan_in), as xavier_filler of Caffe draws unless it is told otherwise."""
    network = GoogLeNet(num_classes=4, table=small_table)
    variables = initial_variables(network, "lecun", seed=0, image_size=32)
    for path, kernel in flatten_dict(variables["params"]).items():
        if path[-1] == "kernel":
            bound = np.sqrt(3 / kernel[..., 0].size)
            assert np.abs(kernel).max() <= bound * (1 + 1e-6)
            assert np.abs(kernel).max() > bound * (0.9 if kernel.size > 100 else 0.5)
