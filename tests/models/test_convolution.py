import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import linen as nn

from flax_googlenet import inference
from flax_googlenet.models import GoogLeNet, Inception
from flax_googlenet.models.convolution import PREPARED
from flax_googlenet.models.layers import LayerOptions
from flax_googlenet.ops import fast_paths
from flax_googlenet.training.parameter_groups import freeze_normalization

NORMALIZATIONS = [pytest.param(True, id="batch norm"), pytest.param(False, id="biases")]
FROZEN = ("*/conv1x1/norm/*",)


class Network(nn.Module):
    """Gives the module a name, which patterns of frozen parameters need."""

    batch_norm: bool

    @nn.compact
    def __call__(self, x, *, train: bool):
        options = LayerOptions(dtype=x.dtype, batch_norm=self.batch_norm)
        return Inception(5, 6, 7, 3, 4, 2, options=options, name="inception_3a")(x, train=train)


def run(variables, x, *, batch_norm: bool, train: bool, freeze: tuple[str, ...] = ()):
    """Return the output, the updated statistics and the gradients of the parameters and the input."""

    def apply(params, x):
        with nn.intercept_methods(freeze_normalization(freeze)):
            y, updated = Network(batch_norm).apply(
                {**variables, "params": params}, x, train=train, mutable=["batch_stats"]
            )
        return jnp.square(y).sum(), (y, updated)

    (_, outputs), gradients = jax.value_and_grad(apply, (0, 1), has_aux=True)(variables["params"], x)
    return outputs, gradients


def random_variables(rng, x, *, batch_norm: bool):
    variables = Network(batch_norm).init(jax.random.key(0), x, train=False)
    return {
        name: jax.tree.map(lambda leaf: jnp.asarray(rng.uniform(0.5, 1.5, leaf.shape)), variables[name])
        for name in ("params", "batch_stats")
        if name in variables
    }


@pytest.mark.parametrize("batch_norm", NORMALIZATIONS)
@pytest.mark.parametrize("train", [True, False])
@pytest.mark.parametrize("freeze", [(), FROZEN], ids=["", "one frozen"])
def test_branches_computed_together_equal_each_by_itself(rng, batch_norm, train, freeze):
    with jax.enable_x64(True):
        x = jnp.asarray(rng.normal(size=(4, 6, 6, 3)))
        variables = random_variables(rng, x, batch_norm=batch_norm)
        together = run(variables, x, batch_norm=batch_norm, train=train, freeze=freeze)
        with fast_paths.disabled():
            apart = run(variables, x, batch_norm=batch_norm, train=train, freeze=freeze)
        assert jax.tree.structure(together) == jax.tree.structure(apart)
        for ours, expected in zip(jax.tree.leaves(together), jax.tree.leaves(apart), strict=True):
            scale = max(float(np.abs(expected).max()), 1e-3)
            np.testing.assert_allclose(ours, expected, rtol=0, atol=1e-11 * scale)


def test_branches_are_one_product(rng):
    x = jnp.asarray(rng.normal(size=(2, 6, 6, 3)), jnp.float32)
    variables = random_variables(rng, x, batch_norm=True)

    def products(*disabled: str) -> int:
        def apply(x):
            return Network(batch_norm=True).apply(variables, x, train=False)

        with fast_paths.disabled(*disabled):
            return str(jax.make_jaxpr(apply)(x)).count("dot_general[")

    assert products("winograd") + 2 == products("winograd", "merged_branches")


@pytest.mark.parametrize("normalization", ["batch", "lrn"])
def test_prepared_filters_give_the_same_logits(rng, small_table, normalization):
    model = GoogLeNet(10, normalization=normalization, table=small_table)
    x = jnp.asarray(rng.normal(size=(2, 64, 64, 3)), jnp.float32)
    variables = jax.jit(model.init)(jax.random.key(0), x)
    assert PREPARED not in variables
    prepared = inference.prepare(model, variables, 64)
    assert PREPARED in prepared
    without_params = jax.tree.map(jnp.zeros_like, variables["params"])  # no kernel is read again
    linear = ("head", "aux_4a", "aux_4d")
    params = {
        name: variables["params"][name] if name in linear else tree for name, tree in without_params.items()
    }
    heads = model.apply({**prepared, "params": params}, x)
    expected = model.apply(variables, x)
    np.testing.assert_allclose(heads["logits"], expected["logits"], rtol=1e-4, atol=1e-5)
