import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import linen as nn

from flax_googlenet import inference
from flax_googlenet.models import GoogLeNet
from flax_googlenet.models.convolution import PREPARED, Convolution
from flax_googlenet.models.layers import LayerOptions
from flax_googlenet.ops import fast_paths


class Plain(nn.Module):
    """The same layer of Flax's modules."""

    batch_norm: bool

    @nn.compact
    def __call__(self, x, *, train: bool):
        x = nn.Conv(
            5, (3, 3), padding=((1, 1), (1, 1)), use_bias=not self.batch_norm, dtype=x.dtype, name="conv"
        )(x)
        if self.batch_norm:
            x = nn.BatchNorm(not train, momentum=0.9, epsilon=1e-3, dtype=x.dtype, name="norm")(x)
        return nn.relu(x)


def run(module, variables, x, *, train: bool):
    """Return the output, the updated statistics, and the gradients of the parameters and the input."""

    def apply(params, x):
        y, updated = module.apply({**variables, "params": params}, x, train=train, mutable=["batch_stats"])
        return jnp.square(y).sum(), (y, updated)

    (_, outputs), gradients = jax.value_and_grad(apply, (0, 1), has_aux=True)(variables["params"], x)
    return outputs, gradients


@pytest.mark.parametrize("batch_norm", [True, False], ids=["batch norm", "bias"])
@pytest.mark.parametrize("train", [True, False], ids=["train", "inference"])
@pytest.mark.parametrize("disabled", [("winograd",), tuple(fast_paths.FAST_PATHS)], ids=["fast", "plain"])
def test_equals_the_layers_of_flax(rng, batch_norm, train, disabled):
    with jax.enable_x64(True), fast_paths.disabled(*disabled):
        x = jnp.asarray(rng.normal(size=(4, 6, 6, 3)))
        options = LayerOptions(dtype=jnp.float64, batch_norm=batch_norm, batch_norm_epsilon=1e-3)
        layer = Convolution(5, 3, options=options)
        variables = jax.tree.map(
            lambda leaf: jnp.asarray(rng.uniform(0.5, 1.5, leaf.shape)), layer.init(jax.random.key(0), x)
        )
        ours = run(layer, variables, x, train=train)
        with jax.numpy_dtype_promotion("standard"):  # Flax promotes the running statistics
            expected = run(Plain(batch_norm), variables, x, train=train)
    assert jax.tree.structure(ours) == jax.tree.structure(expected)
    for array, reference in zip(jax.tree.leaves(ours), jax.tree.leaves(expected), strict=True):
        scale = max(float(np.abs(reference).max()), 1e-3)
        np.testing.assert_allclose(array, reference, rtol=0, atol=1e-11 * scale)


@pytest.mark.parametrize("batch_norm", [True, False], ids=["batch norm", "bias"])
def test_initial_variables_are_those_of_flax(batch_norm):
    x = jnp.zeros((1, 6, 6, 3))
    init = nn.initializers.lecun_normal()
    options = LayerOptions(batch_norm=batch_norm, kernel_init=init, bias_init=nn.initializers.zeros)
    ours = Convolution(5, 3, options=options).init(jax.random.key(0), x)
    expected = Plain(batch_norm).init(jax.random.key(0), x, train=False)
    assert jax.tree.structure(ours) == jax.tree.structure(expected)
    for array, reference in zip(jax.tree.leaves(ours), jax.tree.leaves(expected), strict=True):
        np.testing.assert_array_equal(array, reference)


@pytest.mark.parametrize("normalization", ["batch", "lrn"])
def test_prepared_filters_give_the_same_logits(rng, small_table, normalization):
    model = GoogLeNet(10, normalization=normalization, table=small_table)
    x = jnp.asarray(rng.normal(size=(2, 64, 64, 3)), jnp.float32)
    variables = jax.jit(model.init)(jax.random.key(0), x)
    assert PREPARED not in variables
    prepared = inference.prepare(model, variables, 64)
    zeros = jax.tree.map(jnp.zeros_like, variables["params"])  # no filter is read again
    params = {**zeros, "head": variables["params"]["head"]}
    heads = model.apply({**prepared, "params": params}, x)
    expected = model.apply(variables, x)
    np.testing.assert_allclose(heads["logits"], expected["logits"], rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("side", [14, 20])
def test_prepared_filters_are_transformed_for_winograds_algorithm(rng, side):
    layer = Convolution(64, 3)
    x = jnp.asarray(rng.normal(size=(2, side, side, 64)), jnp.float32)
    variables = layer.init(jax.random.key(0), x)
    _, prepared = layer.apply(variables, x, mutable=[PREPARED])
    assert prepared[PREPARED]["kernel"].shape == (4, 4, 64, 64)
    y, expected = layer.apply({**variables, **prepared}, x), layer.apply(variables, x)
    np.testing.assert_allclose(y, expected, rtol=0, atol=1e-5 * np.abs(expected).max())
