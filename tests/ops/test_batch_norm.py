import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import linen as nn
from hypothesis import given, settings
from hypothesis import strategies as st
from jax.sharding import NamedSharding, PartitionSpec

from flax_googlenet.ops import batch_norm, fast_paths
from flax_googlenet.sharding import data_mesh

EPSILON = 1e-3


def results(function, x, scale, bias, cotangent):
    (y, mean, variance), pullback = jax.vjp(lambda *args: function(*args, EPSILON), x, scale, bias)
    zeros = jnp.zeros_like(mean)
    return y, mean, variance, *pullback((cotangent, zeros, zeros))


@given(
    shape=st.tuples(st.integers(2, 4), st.integers(1, 5), st.integers(1, 5), st.integers(1, 9)),
    seed=st.integers(0, 999),
)
@settings(max_examples=10)
def test_equals_its_reference_in_values_and_gradients(shape, seed):
    rng = np.random.default_rng(seed)
    with jax.enable_x64(True):
        x, cotangent = (jnp.asarray(rng.normal(size=shape)) for _ in range(2))
        scale, bias = (jnp.asarray(rng.normal(size=shape[-1:])) for _ in range(2))
        ours = results(batch_norm.batch_norm_relu, x, scale, bias, cotangent)
        reference = results(batch_norm.batch_norm_relu_reference, x, scale, bias, cotangent)
        for array, expected in zip(ours, reference, strict=True):
            np.testing.assert_allclose(array, expected, rtol=1e-9, atol=1e-12)


def test_float32_is_within_rounding(rng):
    x, cotangent = (jnp.asarray(rng.normal(size=(8, 7, 7, 16)), jnp.float32) for _ in range(2))
    scale, bias = (jnp.asarray(rng.normal(size=16), jnp.float32) for _ in range(2))
    ours = results(batch_norm.batch_norm_relu, x, scale, bias, cotangent)
    reference = results(batch_norm.batch_norm_relu_reference, x, scale, bias, cotangent)
    for array, expected in zip(ours, reference, strict=True):
        np.testing.assert_allclose(array, expected, rtol=0, atol=1e-5 * np.abs(expected).max())


@pytest.mark.parametrize("names", [(), ("batch_norm",)], ids=["fast", "plain"])
def test_equals_flax(rng, names):
    x = jnp.asarray(rng.normal(2.0, 3.0, size=(4, 5, 5, 6)), jnp.float32)
    layer = nn.BatchNorm(use_running_average=False, momentum=0.0, epsilon=EPSILON)
    y, updated = layer.apply(layer.init(jax.random.key(0), x), x, mutable=["batch_stats"])
    if names:
        with fast_paths.disabled(*names):
            ours, mean, variance = batch_norm.batch_norm_relu(x, jnp.ones(6), jnp.zeros(6), EPSILON)
    else:
        ours, mean, variance = batch_norm.batch_norm_relu(x, jnp.ones(6), jnp.zeros(6), EPSILON)
    np.testing.assert_allclose(ours, jax.nn.relu(y), rtol=0, atol=1e-5)
    np.testing.assert_allclose(mean, updated["batch_stats"]["mean"], rtol=1e-5)
    np.testing.assert_allclose(variance, updated["batch_stats"]["var"], rtol=1e-5)


def test_the_statistics_are_those_of_the_global_batch(rng):
    x = jnp.asarray(rng.normal(size=(16, 3, 3, 4)), jnp.float32)
    split = jax.device_put(x, NamedSharding(data_mesh(), PartitionSpec("data")))
    ours = jax.jit(lambda x: batch_norm.batch_norm_relu(x, jnp.ones(4), jnp.zeros(4), EPSILON))(split)
    expected = batch_norm.batch_norm_relu_reference(x, jnp.ones(4), jnp.zeros(4), EPSILON)
    for array, reference in zip(ours, expected, strict=True):
        np.testing.assert_allclose(array, reference, rtol=0, atol=1e-5)


def test_bfloat16_is_computed_in_float32(rng):
    x = jnp.asarray(rng.normal(size=(4, 5, 5, 6)), jnp.bfloat16)
    y, mean, _ = batch_norm.batch_norm_relu(x, jnp.ones(6), jnp.zeros(6), EPSILON)
    assert (y.dtype, mean.dtype) == (jnp.bfloat16, jnp.float32)
