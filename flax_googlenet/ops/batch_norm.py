"""Batch normalization with batch statistics, followed by ReLU (Ioffe & Szegedy 2015, algorithm 1)."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
from jax import lax
from jaxtyping import Array, Float

from flax_googlenet.ops import fast_paths

Maps = Float[Array, "*map channels"]
Channels = Float[Array, " channels"]
Residuals = tuple[Maps, Channels, Channels, Channels, Channels]


def batch_norm_relu_reference(
    x: Maps, scale: Channels, bias: Channels, epsilon: float
) -> tuple[Maps, Channels, Channels]:
    """Apply batch normalization and ReLU, with XLA's gradient."""
    wide = x.astype(scale.dtype)
    mean, variance = _statistics(wide)
    factor = lax.rsqrt(variance + epsilon) * scale
    y = (wide - _over_map(mean, x)) * _over_map(factor, x) + _over_map(bias, x)
    return jax.nn.relu(y.astype(x.dtype)), mean, variance


def batch_norm_relu(
    x: Maps, scale: Channels, bias: Channels, epsilon: float
) -> tuple[Maps, Channels, Channels]:
    """Normalize each channel by its mean and variance over the batch and the map, and rectify.

    y = max(scale * (x - mean) / sqrt(variance + epsilon) + bias, 0)

    No gradient flows through the returned mean and variance, which are meant for running averages.

    Args:
      x: feature maps of the global batch.
      scale, bias: parameters, float32 or wider.
      epsilon: added to the variance.

    Returns:
      y in the dtype of `x`, and the mean and the (biased) variance of each channel.
    """
    if fast_paths.is_on("batch_norm"):
        return _batch_norm_relu(x, scale, bias, epsilon)
    y, mean, variance = batch_norm_relu_reference(x, scale, bias, epsilon)
    return y, lax.stop_gradient(mean), lax.stop_gradient(variance)


def _statistics(x: Maps) -> tuple[Channels, Channels]:
    axes = tuple(range(x.ndim - 1))
    mean = x.mean(axes)
    return mean, jnp.maximum(jnp.square(x).mean(axes) - jnp.square(mean), 0)


def _over_map(values: Channels, x: Maps) -> Array:
    """Return a value for each channel in a shape that broadcasts over the maps `x`."""
    return values.reshape((1,) * (x.ndim - 1) + (-1,))


@functools.partial(jax.custom_vjp, nondiff_argnums=(3,))
def _batch_norm_relu(
    x: Maps, scale: Channels, bias: Channels, epsilon: float
) -> tuple[Maps, Channels, Channels]:
    return _forward(x, scale, bias, epsilon)[0]


def _forward(
    x: Maps, scale: Channels, bias: Channels, epsilon: float
) -> tuple[tuple[Maps, Channels, Channels], Residuals]:
    wide = x.astype(scale.dtype)
    mean, variance = _statistics(wide)
    deviation = lax.rsqrt(variance + epsilon)
    # The barrier keeps XLA from computing these coefficients anew for every element.
    factor, shift, mean, variance, deviation = lax.optimization_barrier(
        (scale * deviation, bias - mean * scale * deviation, mean, variance, deviation)
    )
    y = jax.nn.relu((wide * _over_map(factor, x) + _over_map(shift, x)).astype(x.dtype))
    return (y, mean, variance), (x, factor, shift, mean, deviation)


def _backward(
    epsilon: float, residuals: Residuals, gradients: tuple[Maps, Channels, Channels]
) -> tuple[Maps, Channels, Channels]:
    del epsilon
    x, factor, shift, mean, deviation = residuals
    wide, axes = x.astype(factor.dtype), tuple(range(x.ndim - 1))
    is_positive = (wide * _over_map(factor, x) + _over_map(shift, x)).astype(x.dtype) > 0
    zero = np.zeros((), factor.dtype)
    rectified = lax.optimization_barrier(jnp.where(is_positive, gradients[0].astype(factor.dtype), zero))
    bias_gradient = rectified.sum(axes)
    scale_gradient = ((rectified * wide).sum(axes) - mean * bias_gradient) * deviation
    # The gradient of x is factor * (rectified - mean(rectified) - n * mean(rectified * n)), where n is the
    # normalized x. It is linear in x: rectified * factor + x * slope + offset.
    count = x.size // x.shape[-1]
    slope = -factor * deviation * scale_gradient / count
    offset = -factor * bias_gradient / count - mean * slope
    slope, offset = lax.optimization_barrier((slope, offset))
    x_gradient = rectified * _over_map(factor, x) + (wide * _over_map(slope, x) + _over_map(offset, x))
    # Without this barrier XLA computes the gradient twice: once for the product that goes on to the input,
    # and once, transposed, for that of the kernel.
    return lax.optimization_barrier(x_gradient.astype(x.dtype)), scale_gradient, bias_gradient


_batch_norm_relu.defvjp(_forward, _backward)
