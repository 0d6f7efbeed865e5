"""Convolution, batch normalization and ReLU, as one layer."""

import dataclasses
from collections.abc import Callable

import jax
import jax.numpy as jnp
from flax import linen as nn
from jaxtyping import Array, Float

from flax_googlenet import ops
from flax_googlenet.models.layers import LayerOptions
from flax_googlenet.ops import winograd
from flax_googlenet.ops.convolution import convolve_transformed, uses_winograd

# Collection of the filters in the form that inference uses; see `inference.prepare`.
PREPARED = "prepared"

# The least side of maps for Winograd's algorithm with prepared filters. On smaller maps it gains nothing in
# training, where each layer also takes seconds to compile.
_PREPARED_SIDE = 14

Maps = Float[Array, "batch height width channels"]
Features = Float[Array, "batch height_out width_out features"]
Channels = Float[Array, " features"]
Kernel = Float[Array, "rows columns channels features"]


@dataclasses.dataclass(frozen=True)
class Normalization:
    """The parameters and statistics of a batch normalization.

    Attributes:
      scale, bias: the parameters.
      mean, variance: the running statistics.
      epsilon: added to the variance.
      use_running_average: whether to normalize with the running statistics instead of the batch's.
      update: takes the mean and the variance of a batch, and updates the running statistics.
    """

    scale: Channels
    bias: Channels
    mean: Channels
    variance: Channels
    epsilon: float
    use_running_average: bool
    update: Callable[[Channels, Channels], None]

    def fold(self, kernel: Kernel) -> tuple[Kernel, Channels]:
        """Return a kernel and a bias that include the normalization by running statistics."""
        factor = self.scale * jax.lax.rsqrt(self.variance + self.epsilon)
        return kernel * factor.reshape(1, 1, 1, -1), self.bias - self.mean * factor


class Convolution(nn.Module):
    """A convolution, batch normalization if the network has it, and ReLU."""

    features: int
    kernel_size: int = 1
    stride: int = 1
    options: LayerOptions = LayerOptions()

    @nn.compact
    def __call__(self, x: Maps, *, train: bool = False) -> Features:
        """Convolve, normalize and rectify."""
        options = self.options
        half = self.kernel_size // 2
        is_same = options.padding == "same" and self.stride > 1  # at stride 1 the two paddings are equal
        padding = "SAME" if is_same else ((half, half), (half, half))
        shape = (self.kernel_size, self.kernel_size, x.shape[-1], self.features)
        kernel, bias = _Weights(shape, options, name="conv")()
        if options.batch_norm:
            layer = BatchNorm(options.batch_norm_momentum, options.batch_norm_epsilon, name="norm")
            norm = layer(self.features, use_running_average=not train)
            if not norm.use_running_average:
                y = ops.convolve(x, kernel.astype(options.dtype), self.stride, padding)
                y, mean, variance = ops.batch_norm_relu(y, norm.scale, norm.bias, norm.epsilon)
                norm.update(mean, variance)
                return y
            kernel, bias = norm.fold(kernel)
        kernel, bias = kernel.astype(options.dtype), bias.astype(options.dtype)
        if self.is_mutable_collection(PREPARED) and not self.is_initializing():
            transforms = self.stride == 1 and uses_winograd(x, kernel, least_side=_PREPARED_SIDE)
            prepared = winograd.transform_kernel(kernel) if transforms else kernel
            self.put_variable(PREPARED, "kernel", prepared)
            self.put_variable(PREPARED, "bias", bias)
        if self.has_variable(PREPARED, "kernel"):
            kernel, bias = (self.get_variable(PREPARED, name) for name in ("kernel", "bias"))
        is_transformed = kernel.shape != shape
        y = (
            convolve_transformed(x, kernel)
            if is_transformed
            else ops.convolve(x, kernel, self.stride, padding)
        )
        return jax.nn.relu(y + bias.reshape(1, 1, 1, -1))


class BatchNorm(nn.Module):
    """The parameters and running statistics of a batch normalization, named as in `flax.linen.BatchNorm`."""

    momentum: float
    epsilon: float

    @nn.compact
    def __call__(self, features: int, *, use_running_average: bool) -> Normalization:
        """Return them for `features` channels.

        The running statistics become momentum * old + (1 - momentum) * those of the batch.
        """
        shape = (features,)
        scale = self.param("scale", nn.initializers.ones, shape, jnp.float32)
        bias = self.param("bias", nn.initializers.zeros, shape, jnp.float32)
        mean = self.variable("batch_stats", "mean", jnp.zeros, shape, jnp.float32)
        variance = self.variable("batch_stats", "var", jnp.ones, shape, jnp.float32)

        def update(*of_batch: Channels) -> None:
            if not self.is_initializing():
                for running, value in zip((mean, variance), of_batch, strict=True):
                    running.value = self.momentum * running.value + (1 - self.momentum) * value

        return Normalization(
            jnp.asarray(scale),
            jnp.asarray(bias),
            jnp.asarray(mean.value),
            jnp.asarray(variance.value),
            self.epsilon,
            use_running_average,
            update,
        )


class _Weights(nn.Module):
    """The kernel and bias of a convolution, named and initialized as in `flax.linen.Conv`.

    The bias is 0 and no parameter if batch normalization follows.
    """

    shape: tuple[int, int, int, int]
    options: LayerOptions

    @nn.compact
    def __call__(self) -> tuple[Kernel, Channels]:
        # Variables that come from a file are NumPy's arrays.
        kernel = jnp.asarray(self.param("kernel", self.options.kernel_init, self.shape, jnp.float32))
        features = self.shape[-1:]
        if self.options.batch_norm:
            return kernel, jnp.zeros(features, kernel.dtype)
        return kernel, jnp.asarray(self.param("bias", self.options.bias_init, features, jnp.float32))
