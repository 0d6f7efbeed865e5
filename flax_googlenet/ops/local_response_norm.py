"""Local response normalization across channels (Krizhevsky et al. 2012, section 3.3)."""

import jax.numpy as jnp
import numpy as np
from jax import lax
from jaxtyping import Array, Float

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
    wide = x.astype(jnp.float32)
    energy = lax.reduce_window(
        jnp.square(wide),
        np.float32(0),  # JAX recognizes a sum, which has a gradient, only if its 0 is not traced
        lax.add,
        (1,) * (x.ndim - 1) + (size,),
        (1,) * x.ndim,
        ((0, 0),) * (x.ndim - 1) + ((size // 2, size // 2),),
    )
    return (wide * (k + alpha * energy) ** -beta).astype(x.dtype)
