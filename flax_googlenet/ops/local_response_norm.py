"""Local response normalisation across channels (Krizhevsky et al. 2012, section 3.3)."""

import jax
import jax.numpy as jnp
import numpy as np
from jax import lax

# GoogLeNet's constants: Krizhevsky et al.'s, but for k, which they set to 2 and Caffe to 1.
SIZE, ALPHA, BETA, K = 5, 1e-4, 0.75, 1.0


def local_response_norm(
    x: jax.Array,
    *,
    size: int = SIZE,
    alpha: float = ALPHA,
    beta: float = BETA,
    k: float = K,
    divide_alpha_by_size: bool = False,
) -> jax.Array:
    """Divide each activation by a power of the energy of its neighbouring channels.

    y_c = x_c / (k + alpha * sum_{|d| <= size // 2} x_{c+d}^2) ^ beta

    Args:
      x: [..., channels].
      size: number of channels in the sum, odd; channels beyond the ends count as 0.
      alpha, beta, k: as in the formula.
      divide_alpha_by_size: use alpha / size, as Caffe and PyTorch do; the formula of
        the paper sums.

    Returns:
      An array of the shape and dtype of `x`. The sum is taken in float32.

    >>> local_response_norm(jnp.ones((1, 1, 1, 3)), size=3, alpha=1.0, beta=1.0).ravel().tolist()
    [0.3333333432674408, 0.25, 0.3333333432674408]
    """
    if divide_alpha_by_size:
        alpha = alpha / size
    wide = x.astype(jnp.float32)
    energy = lax.reduce_window(
        jnp.square(wide),
        np.float32(0),  # a constant: a traced 0 would hide that this is a sum, with a gradient
        lax.add,
        (1,) * (x.ndim - 1) + (size,),
        (1,) * x.ndim,
        ((0, 0),) * (x.ndim - 1) + ((size // 2, size // 2),),
    )
    return (wide * (k + alpha * energy) ** -beta).astype(x.dtype)
