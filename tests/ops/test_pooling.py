import itertools

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from flax_googlenet.ops import fast_paths, pooling

# batch, height, width, channels, window, stride, padding
CASES = [
    pytest.param((2, 12, 12, 3), 3, 2, ((0, 1), (0, 1)), id="strided, ceil mode"),
    pytest.param((2, 7, 9, 2), 3, 2, ((0, 0), (0, 0)), id="strided, odd"),
    pytest.param((1, 5, 4, 4), 3, 1, ((1, 1), (1, 1)), id="inside a module"),
    pytest.param((3, 6, 6, 1), 2, 2, ((0, 0), (0, 0)), id="2x2"),
    pytest.param((1, 2, 2, 2), 3, 2, ((0, 1), (0, 1)), id="smaller than the window"),
    pytest.param((1, 1, 1, 5), 3, 1, ((1, 1), (1, 1)), id="one pixel"),
]


def tied(rng: np.random.Generator, shape: tuple[int, ...]) -> jax.Array:
    """Return small whole numbers, so that most windows have several maxima, some of them negative."""
    return jnp.asarray(rng.integers(-2, 3, shape), jnp.float32)


@pytest.mark.parametrize(("shape", "window", "stride", "padding"), CASES)
def test_max_pool_equals_its_reference_in_values_and_gradients(rng, shape, window, stride, padding):
    x = tied(rng, shape)
    y, pullback = jax.vjp(lambda x: pooling.max_pool(x, window, stride, padding), x)
    expected, reference_pullback = jax.vjp(
        lambda x: pooling.max_pool_reference(x, window, stride, padding), x
    )
    np.testing.assert_array_equal(y, expected)
    cotangent = jnp.asarray(rng.integers(-8, 9, y.shape), jnp.float32)  # sums of whole numbers are exact
    np.testing.assert_array_equal(pullback(cotangent)[0], reference_pullback(cotangent)[0])


@given(
    size=st.tuples(st.integers(3, 12), st.integers(3, 12)),
    window=st.integers(1, 4),
    stride=st.integers(1, 3),
    edges=st.tuples(*[st.integers(0, 1)] * 4),
    seed=st.integers(0, 99),
)
@settings(max_examples=20)
def test_max_pool_equals_its_reference_for_any_shape(size, window, stride, edges, seed):
    top, bottom, left, right = edges
    rng = np.random.default_rng(seed)
    x = tied(rng, (2, *size, 3))
    if min(size[0] + top + bottom, size[1] + left + right) < window:
        return
    padding = ((top, bottom), (left, right))
    y, pullback = jax.vjp(lambda x: pooling.max_pool(x, window, stride, padding), x)
    with fast_paths.disabled("max_pool"):
        expected, reference_pullback = jax.vjp(lambda x: pooling.max_pool(x, window, stride, padding), x)
        cotangent = jnp.asarray(rng.integers(-8, 9, y.shape), jnp.float32)
        (reference,) = reference_pullback(cotangent)
    np.testing.assert_array_equal(y, expected)
    np.testing.assert_array_equal(pullback(cotangent)[0], reference)


def test_values_that_are_no_numbers_have_no_gradient():
    x = jnp.full((1, 3, 3, 1), jnp.nan)
    gradient = jax.grad(lambda x: pooling.max_pool(x, 3, 1, ((0, 0), (0, 0))).sum())(x)
    np.testing.assert_array_equal(gradient, jnp.zeros_like(x))


def test_minus_infinity_is_a_maximum_among_itself():
    x = jnp.full((1, 2, 2, 1), -jnp.inf)
    gradient = jax.grad(lambda x: pooling.max_pool(x, 2, 2, ((0, 0), (0, 0))).sum())(x)
    assert gradient.ravel().tolist() == [1.0, 0.0, 0.0, 0.0]


def test_gradient_keeps_bfloat16():
    x = jnp.ones((1, 4, 4, 1), jnp.bfloat16)
    gradient = jax.grad(lambda x: pooling.max_pool(x, 3, 1, ((1, 1), (1, 1))).sum().astype(jnp.float32))(x)
    assert gradient.dtype == jnp.bfloat16


@given(size=st.integers(2, 300), window=st.integers(1, 5), stride=st.integers(1, 3))
def test_ceil_mode_padding(size, window, stride):
    (start, end), _ = pooling.ceil_mode_padding((size, size), window, stride)
    outputs = (size + start + end - window) // stride + 1
    assert start == 0
    assert outputs == max(-(-(size - window) // stride), 0) + 1
    assert (outputs - 1) * stride < size or stride > window, "the last window starts inside the input"


def test_average_pool_grid_at_14_is_that_of_the_paper(rng):
    x = rng.normal(size=(2, 14, 14, 3))
    expected = [[x[:, i : i + 5, j : j + 5].mean((1, 2)) for j in (0, 3, 6, 9)] for i in (0, 3, 6, 9)]
    pooled = pooling.average_pool_grid(jnp.asarray(x, jnp.float32))
    np.testing.assert_allclose(pooled, np.moveaxis(np.array(expected), 2, 0), rtol=1e-5, atol=1e-6)


@given(size=st.integers(1, 40))
def test_grid_windows_cover_the_map_evenly(size):
    windows = pooling.grid_windows(size)
    assert windows[0][0] == 0
    assert windows[-1][1] == size
    assert len({end - start for start, end in windows}) == 1
    assert all(a <= b for (a, _), (b, _) in itertools.pairwise(windows))
