import jax
import jax.numpy as jnp
import numpy as np
import pytest

from flax_googlenet.ops import local_response_norm


def formula(x: np.ndarray, size: int, alpha: float, beta: float, k: float) -> np.ndarray:
    """Compute the formula of Krizhevsky et al. (2012), section 3.3, in float64, channel by channel."""
    channels = x.shape[-1]
    y = np.empty_like(x)
    for c in range(channels):
        near = x[..., max(0, c - size // 2) : min(channels, c + size // 2 + 1)]
        y[..., c] = x[..., c] / (k + alpha * np.square(near).sum(-1)) ** beta
    return y


@pytest.mark.parametrize("channels", [1, 4, 64])
@pytest.mark.parametrize("divide", [False, True])
@pytest.mark.parametrize(("alpha", "beta", "k"), [(1e-4, 0.75, 1.0), (0.5, 0.5, 2.0)])
def test_is_the_formula(rng, channels, divide, alpha, beta, k):
    x = rng.normal(size=(2, 3, 3, channels)) * 10
    y = local_response_norm(
        jnp.asarray(x, jnp.float32), alpha=alpha, beta=beta, k=k, divide_alpha_by_size=divide
    )
    expected = formula(x, 5, alpha / 5 if divide else alpha, beta, k)
    np.testing.assert_allclose(y, expected, rtol=1e-5, atol=1e-6)  # float32 against float64


def test_gradient_is_that_of_the_formula(rng):
    x = rng.normal(size=(1, 1, 1, 7))
    gradient = jax.jit(jax.grad(lambda x: local_response_norm(x, alpha=0.3).sum()))(
        jnp.asarray(x, jnp.float32)
    )
    step = 1e-6
    numeric = [
        (formula(x + step * e, 5, 0.3, 0.75, 1.0).sum() - formula(x - step * e, 5, 0.3, 0.75, 1.0).sum())
        / (2 * step)
        for e in np.eye(7)
    ]
    np.testing.assert_allclose(gradient.ravel(), numeric, rtol=1e-4, atol=1e-5)


def test_keeps_the_dtype():
    assert local_response_norm(jnp.ones((1, 1, 1, 8), jnp.bfloat16)).dtype == jnp.bfloat16
