import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax import lax

from flax_googlenet.ops import convolution

DIMENSIONS = lax.conv_dimension_numbers((1, 1, 1, 1), (1, 1, 1, 1), ("NHWC", "HWIO", "NHWC"))

# image, kernel, stride, padding, whether a matrix product is expected
CASES = [
    pytest.param((2, 7, 7, 5), (1, 1, 5, 4), 1, ((0, 0), (0, 0)), True, id="1x1"),
    pytest.param((2, 7, 7, 5), (1, 1, 5, 4), 2, ((0, 0), (0, 0)), False, id="1x1, strided"),
    pytest.param((2, 3, 3, 5), (5, 5, 5, 4), 1, ((2, 2), (2, 2)), True, id="kernel larger than the image"),
    pytest.param((2, 1, 1, 5), (3, 3, 5, 4), 1, ((1, 1), (1, 1)), True, id="one pixel"),
    pytest.param((2, 2, 9, 5), (3, 3, 5, 4), 1, ((1, 1), (1, 1)), True, id="larger in height only"),
    pytest.param((2, 8, 8, 5), (3, 3, 5, 4), 1, ((1, 1), (1, 1)), False, id="3x3"),
    pytest.param((2, 6, 6, 3), (7, 7, 3, 4), 2, ((3, 3), (3, 3)), False, id="7x7, strided"),
]


@pytest.mark.parametrize(("image", "kernel", "stride", "padding", "is_product"), CASES)
def test_equals_its_reference_in_values_and_gradients(rng, image, kernel, stride, padding, is_product):
    x, w = (jnp.asarray(rng.integers(-4, 5, shape), jnp.float32) for shape in (image, kernel))

    def with_function(function):
        return lambda x, w: function(x, w, (stride, stride), padding, dimension_numbers=DIMENSIONS)

    y, pullback = jax.vjp(with_function(convolution.conv_general_dilated), x, w)
    expected, reference_pullback = jax.vjp(with_function(convolution.conv_general_dilated_reference), x, w)
    np.testing.assert_array_equal(y, expected)  # whole numbers: no rounding in any order of summation
    cotangent = jnp.asarray(rng.integers(-4, 5, y.shape), jnp.float32)
    for ours, reference in zip(pullback(cotangent), reference_pullback(cotangent), strict=True):
        np.testing.assert_array_equal(ours, reference)
    program = str(jax.make_jaxpr(with_function(convolution.conv_general_dilated))(x, w))
    assert ("dot_general" in program) == is_product
    assert ("conv_general_dilated" in program) != is_product


def test_leaves_dilation_and_groups_to_the_reference(rng):
    x = jnp.asarray(rng.normal(size=(1, 4, 4, 4)), jnp.float32)
    w = jnp.asarray(rng.normal(size=(1, 1, 2, 4)), jnp.float32)
    options = {"dimension_numbers": DIMENSIONS, "feature_group_count": 2}
    y = convolution.conv_general_dilated(x, w, (1, 1), ((0, 0), (0, 0)), **options)
    expected = convolution.conv_general_dilated_reference(x, w, (1, 1), ((0, 0), (0, 0)), **options)
    np.testing.assert_array_equal(y, expected)
