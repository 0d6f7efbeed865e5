import dataclasses

import jax
import jax.numpy as jnp
import pytest

from flax_googlenet.models import VGG16
from tests.support.networks import AS_WRITTEN


def shapes(model: VGG16, size: int):
    x = jax.ShapeDtypeStruct((2, size, size, 3), jnp.float32)
    return jax.eval_shape(lambda x: model.init_with_output(jax.random.key(0), x, mutable=True), x)


def test_rows_have_the_outputs_of_the_table():
    outputs, variables = shapes(VGG16(), 224)
    assert outputs["logits"].shape == (2, 1000)
    intermediates = variables["intermediates"]
    assert len(intermediates) == len(VGG16().table)
    for row in VGG16().table:
        (output,) = intermediates[f"{row.name}_output"]
        assert output.shape[1:] == row.output[-(output.ndim - 1) :], row.name


@pytest.mark.parametrize(("normalization", "params"), [("none", 138_357_544), ("batch", 138_361_768)])
def test_parameter_count(normalization, params):
    """torchvision's has 138,365,992 with batch normalization, since its convolutions keep their biases."""
    _, variables = shapes(VGG16(normalization=normalization), 224)
    assert sum(leaf.size for leaf in jax.tree.leaves(variables["params"])) == params


def test_small_images_are_refused():
    with pytest.raises(ValueError, match="VGG-16 takes images"):
        shapes(VGG16(), 31)


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"normalization": "lrn"}, 'VGG16.normalization is \'lrn\'; it must be "none" or "batch".'),
        ({"normalization": "bacth"}, 'did you mean "batch"?'),
        ({"dropout": 1.0}, "VGG16.dropout is 1.0; it must be a number of at least 0 and below 1, such as"),
        ({"batch_norm_epsilon": -1.0}, "VGG16.batch_norm_epsilon is -1.0;"),
        ({"num_classes": 0}, "VGG16.num_classes is 0;"),
    ],
)
def test_invalid_options_are_refused_at_once(options, words):
    with pytest.raises(ValueError, match=r"^VGG16\.") as caught:
        VGG16(**options)
    assert words in str(caught.value)


def test_logits_of_a_bfloat16_network_are_float32():
    rows = [dataclasses.replace(row, filters=tuple(n // 32 for n in row.filters)) for row in VGG16().table]
    model = VGG16(num_classes=1000, table=tuple(rows), dtype=jnp.bfloat16)
    x = jax.random.normal(jax.random.key(1), (2, 32, 32, 3))
    outputs, _ = jax.jit(model.init_with_output, compiler_options=AS_WRITTEN)(jax.random.key(0), x)
    logits = outputs["logits"]
    assert logits.dtype == jnp.float32
    assert (logits.astype(jnp.bfloat16).astype(jnp.float32) != logits).mean() > 0.5
