import jax
import jax.numpy as jnp
import pytest

from flax_googlenet.models import VGG16


def shapes(model: VGG16, size: int):
    x = jax.ShapeDtypeStruct((2, size, size, 3), jnp.float32)
    return jax.eval_shape(lambda x: model.init_with_output(jax.random.key(0), x, mutable=True), x)


def test_rows_have_the_outputs_of_the_table():
    outputs, variables = shapes(VGG16(), 224)
    assert outputs["logits"].shape == (2, 1000)
    found = variables["intermediates"]
    assert len(found) == len(VGG16().table)
    for row in VGG16().table:
        (output,) = found[f"{row.name}_output"]
        assert output.shape[1:] == row.output[-(output.ndim - 1) :], row.name


@pytest.mark.parametrize(("normalization", "params"), [("none", 138_357_544), ("batch", 138_361_768)])
def test_parameter_count(normalization, params):
    """With batch normalisation torchvision's has 138,365,992: its convolutions keep their biases."""
    _, variables = shapes(VGG16(normalization=normalization), 224)
    assert sum(leaf.size for leaf in jax.tree.leaves(variables["params"])) == params


def test_small_images_are_refused():
    with pytest.raises(ValueError, match="VGG-16 takes images"):
        shapes(VGG16(), 31)
