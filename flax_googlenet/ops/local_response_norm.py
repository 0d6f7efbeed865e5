"""Local response normalization across channels (Krizhevsky et al. 2012, section 3.3)."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
from jax import lax
from jaxtyping import Array, Float

from flax_googlenet.ops import fast_paths

# GoogLeNet's constants: those of Krizhevsky et al., except for k, which is 2 there and 1 in Caffe.
SIZE, ALPHA, BETA, K = 5, 1e-4, 0.75, 1.0


def local_response_norm(
    x: Float[Array, "*map channels"],
    *,
    size: int = SIZE,
    alpha: float = ALPHA,
    beta: float = BETA,
    k: float = K,
    divide_alpha_by_size: bool = False,
) -> Float[Array, "*map channels"]:
    """Divide each activation by a power of the energy of its neighboring channels.

    y_c = x_c / (k + alpha * sum_{|d| <= size // 2} x_{c+d}^2) ^ beta

    Args:
      x: feature maps or vectors.
      size: number of channels in the sum, odd. Channels beyond the ends count as 0.
      alpha, beta, k: as in the formula.
      divide_alpha_by_size: whether to use alpha / size, which turns the sum into a mean, as Caffe and
        PyTorch do. The paper uses the sum.

    Returns:
      An array of the dtype of `x`. The sum is computed in float32.

    >>> local_response_norm(jnp.ones((1, 1, 1, 3)), size=3, alpha=1.0, beta=1.0).ravel().tolist()
    [0.3333333432674408, 0.25, 0.3333333432674408]
    """
    if divide_alpha_by_size:
        alpha = alpha / size
    wide = x.astype(jnp.float64 if x.dtype == jnp.float64 else jnp.float32)
    normalize = _normalize if fast_paths.is_on("local_response_norm") else local_response_norm_reference
    return normalize(wide, size, alpha, beta, k).astype(x.dtype)


def local_response_norm_reference(
    x: Float[Array, "*map channels"], size: int, alpha: float, beta: float, k: float
) -> Float[Array, "*map channels"]:
    """Apply the formula with XLA's window sum and gradient."""
    energy = lax.reduce_window(
        jnp.square(x),
        np.zeros((), x.dtype),  # JAX recognizes a sum, which has a gradient, only if its 0 is not traced
        lax.add,
        (1,) * (x.ndim - 1) + (size,),
        (1,) * x.ndim,
        ((0, 0),) * (x.ndim - 1) + ((size // 2, size // 2),),
    )
    return x * (k + alpha * energy) ** -beta


@functools.partial(jax.custom_vjp, nondiff_argnums=(1, 2, 3, 4))
def _normalize(
    x: Float[Array, "*map channels"], size: int, alpha: float, beta: float, k: float
) -> Float[Array, "*map channels"]:
    return _forward(x, size, alpha, beta, k)[0]


def _forward(x: Array, size: int, alpha: float, beta: float, k: float) -> tuple[Array, tuple[Array, Array]]:
    energy = k + alpha * _window_sum(jnp.square(x), size)
    return x * _power(energy, beta), (x, energy)


def _backward(
    size: int, alpha: float, beta: float, k: float, residuals: tuple[Array, Array], gradient: Array
) -> tuple[Array]:
    del k  # it is part of the energy
    x, energy = residuals
    factor = _power(energy, beta)
    spread = _window_sum(gradient * x * factor / energy, size)
    return (gradient * factor - 2 * alpha * beta * x * spread,)


_normalize.defvjp(_forward, _backward)


def _window_sum(x: Array, size: int) -> Array:
    """Return the sum over the `size` channels around each channel."""
    half = size // 2
    # XLA's window sum takes several times as long. Without the barrier x is computed `size` times.
    padded = lax.optimization_barrier(jnp.pad(x, ((0, 0),) * (x.ndim - 1) + ((half, half),)))
    return functools.reduce(jnp.add, [padded[..., i : i + x.shape[-1]] for i in range(size)])


def _power(energy: Array, beta: float) -> Array:
    """Return energy ** -beta; for GoogLeNet's 3/4 without a logarithm."""
    if beta != BETA:
        return energy**-beta
    root = lax.rsqrt(energy)
    return root * jnp.sqrt(root)
