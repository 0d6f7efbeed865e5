import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax.sharding import NamedSharding, PartitionSpec

from flax_googlenet.ops import convolution, fast_paths, winograd
from flax_googlenet.sharding import data_mesh

# image, kernel, stride, padding, whether a matrix product is expected
CASES = [
    pytest.param((2, 7, 7, 5), (1, 1, 5, 4), 1, ((0, 0), (0, 0)), False, id="1x1"),
    pytest.param((2, 7, 7, 5), (1, 1, 5, 4), 2, ((0, 0), (0, 0)), False, id="1x1, strided"),
    pytest.param((2, 3, 3, 5), (5, 5, 5, 4), 1, ((2, 2), (2, 2)), True, id="kernel larger than the image"),
    pytest.param((2, 1, 1, 5), (3, 3, 5, 4), 1, ((1, 1), (1, 1)), True, id="one pixel"),
    pytest.param((2, 2, 9, 5), (3, 3, 5, 4), 1, ((1, 1), (1, 1)), True, id="larger in height only"),
    pytest.param((2, 8, 8, 5), (3, 3, 5, 4), 1, ((1, 1), (1, 1)), False, id="3x3"),
    pytest.param((2, 6, 6, 3), (7, 7, 3, 4), 2, ((3, 3), (3, 3)), False, id="7x7, strided"),
    pytest.param((2, 6, 6, 3), (7, 7, 3, 4), 2, "SAME", False, id="TensorFlow's padding"),
]

# Sizes at which Winograd's algorithm is used: even, odd, and with several parts of a batch.
WINOGRAD_CASES = [
    pytest.param((2, 28, 28, 64), (3, 3, 64, 64), id="even"),
    pytest.param((1, 29, 31, 65), (3, 3, 65, 66), id="odd"),
    pytest.param((3, 40, 28, 64), (3, 3, 64, 64), id="in parts"),
]


def gradients(function, x, w, cotangent):
    y, pullback = jax.vjp(function, x, w)
    return y, *pullback(cotangent)


@pytest.mark.parametrize(("image", "kernel", "stride", "padding", "is_product"), CASES)
def test_equals_its_reference_in_values_and_gradients(rng, image, kernel, stride, padding, is_product):
    x, w = (jnp.asarray(rng.integers(-4, 5, shape), jnp.float32) for shape in (image, kernel))

    def fast(x, w):
        return convolution.convolve(x, w, stride, padding)

    def plain(x, w):
        return convolution.convolve_reference(x, w, stride, padding)

    cotangent = jnp.asarray(rng.integers(-4, 5, jax.eval_shape(fast, x, w).shape), jnp.float32)
    for ours, reference in zip(
        gradients(fast, x, w, cotangent), gradients(plain, x, w, cotangent), strict=True
    ):
        np.testing.assert_array_equal(ours, reference)  # whole numbers: no rounding in any order of sums
    program = str(jax.make_jaxpr(fast)(x, w))
    assert ("dot_general" in program) == is_product
    assert ("conv_general_dilated" in program) != is_product


@pytest.mark.parametrize(("image", "kernel"), WINOGRAD_CASES)
@pytest.mark.parametrize("in_parts", [False, True])
def test_winograd_equals_its_reference_in_values_and_gradients(rng, monkeypatch, image, kernel, in_parts):
    monkeypatch.setattr(jax, "device_count", lambda: 1 if in_parts else 8)
    with jax.enable_x64(True):
        x, w = jnp.asarray(rng.normal(size=image)), jnp.asarray(rng.normal(size=kernel))
        assert convolution.uses_winograd(x, w)
        cotangent = jnp.asarray(rng.normal(size=(*image[:3], kernel[-1])))
        ours = gradients(lambda x, w: convolution.convolve(x, w, 1, ((1, 1), (1, 1))), x, w, cotangent)
        plain = gradients(
            lambda x, w: convolution.convolve_reference(x, w, 1, ((1, 1), (1, 1))), x, w, cotangent
        )
        for array, reference in zip(ours, plain, strict=True):
            assert array.dtype == jnp.float64
            np.testing.assert_allclose(array, reference, rtol=0, atol=1e-12 * np.abs(reference).max())


def test_winograd_in_float32_is_within_the_rounding_of_its_sums(rng):
    x = jnp.asarray(rng.normal(size=(2, 28, 28, 128)), jnp.float32)
    w = jnp.asarray(rng.normal(size=(3, 3, 128, 64)), jnp.float32)
    y = convolution.convolve(x, w, 1, ((1, 1), (1, 1)))
    expected = convolution.convolve_reference(x, w, 1, ((1, 1), (1, 1)))
    np.testing.assert_allclose(y, expected, rtol=0, atol=1e-5 * np.abs(expected).max())


def test_a_batch_that_is_split_over_devices(rng):
    x = jnp.asarray(rng.normal(size=(8, 28, 28, 64)), jnp.float32)
    w = jnp.asarray(rng.normal(size=(3, 3, 64, 64)), jnp.float32)
    split = jax.device_put(x, NamedSharding(data_mesh(), PartitionSpec("data")))
    y = jax.jit(lambda x: convolution.convolve(x, w, 1, ((1, 1), (1, 1))))(split)
    assert y.sharding.is_equivalent_to(split.sharding, y.ndim)
    expected = convolution.convolve_reference(x, w, 1, ((1, 1), (1, 1)))
    np.testing.assert_allclose(y, expected, rtol=0, atol=1e-5 * np.abs(expected).max())


@pytest.mark.parametrize(
    ("image", "kernel", "dtype"),
    [
        pytest.param((1, 28, 28, 32), (3, 3, 32, 64), jnp.float32, id="few channels"),
        pytest.param((1, 14, 14, 64), (3, 3, 64, 64), jnp.float32, id="small map"),
        pytest.param((1, 28, 28, 64), (5, 5, 64, 64), jnp.float32, id="5x5"),
        pytest.param((1, 28, 28, 64), (3, 3, 64, 64), jnp.bfloat16, id="half precision"),
    ],
)
def test_where_winograd_is_not_used(image, kernel, dtype):
    assert not convolution.uses_winograd(jnp.zeros(image, dtype), jnp.zeros(kernel, dtype))


def test_winograd_can_be_disabled():
    x, w = jnp.zeros((1, 28, 28, 64)), jnp.zeros((3, 3, 64, 64))
    with fast_paths.disabled("winograd"):
        assert not convolution.uses_winograd(x, w)
    assert convolution.uses_winograd(x, w)
    assert winograd.transform_kernel(w).shape == (4, 4, 64, 64)
