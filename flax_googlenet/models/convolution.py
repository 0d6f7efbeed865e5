"""Convolution, batch normalization and ReLU, as one layer.

`Convolution` is the layer. What it computes is a function of its `Filters`, so that several layers which read
the same input can be computed as one (`convolve_together`), and so that inference can use filters which are
prepared once.
"""

import dataclasses
import itertools
from collections.abc import Callable, Sequence
from typing import Any

import jax
import jax.numpy as jnp
from flax import linen as nn
from jaxtyping import Array, Float

from flax_googlenet import ops
from flax_googlenet.models.layers import LayerOptions
from flax_googlenet.ops import fast_paths, winograd
from flax_googlenet.ops.convolution import convolve_transformed, uses_winograd

# Collection of the filters in the form that inference uses; see `inference.prepare`.
PREPARED = "prepared"

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


@dataclasses.dataclass(frozen=True)
class Filters:
    """The filters of a convolution.

    Attributes:
      kernel: the weights.
      bias: the bias, if there is no normalization.
      normalization: the batch normalization after the convolution.
    """

    kernel: Kernel
    bias: Channels | None
    normalization: Normalization | None

    @property
    def uses_batch_statistics(self) -> bool:
        """Whether the normalization uses the statistics of the batch."""
        return self.normalization is not None and not self.normalization.use_running_average

    def fold(self) -> tuple[Kernel, Channels]:
        """Return a kernel and bias that include the normalization by running statistics."""
        if self.normalization is None:
            assert self.bias is not None
            return self.kernel, self.bias
        norm = self.normalization
        factor = norm.scale * jax.lax.rsqrt(norm.variance + norm.epsilon)
        return self.kernel * factor.reshape(1, 1, 1, -1), norm.bias - norm.mean * factor


class Convolution(nn.Module):
    """A convolution, batch normalization if the network has it, and ReLU."""

    features: int
    kernel_size: int = 1
    stride: int = 1
    options: LayerOptions = LayerOptions()

    @nn.compact
    def filters(self, channels: int, *, train: bool) -> Filters:
        """Return the filters for an input of `channels` channels."""
        options = self.options
        shape = (self.kernel_size, self.kernel_size, channels, self.features)
        kernel, bias = _Weights(shape, options, use_bias=not options.batch_norm, name="conv")()
        if not options.batch_norm:
            return Filters(kernel, bias, None)
        norm = BatchNorm(options.batch_norm_momentum, options.batch_norm_epsilon, name="norm")
        return Filters(kernel, None, norm(self.features, use_running_average=not train))

    def __call__(self, x: Maps, *, train: bool = False) -> Features:
        """Convolve, normalize and rectify."""
        return _apply(self, x, self.filters(x.shape[-1], train=train), self.stride, self.options)


def convolve_together(
    parent: nn.Module, layers: Sequence[Convolution], x: Maps, *, train: bool
) -> list[Features]:
    """Apply several 1x1 convolutions to the same input, as one product where that is faster.

    Args:
      parent: the module that the layers belong to; it keeps their prepared filters.
      layers: convolutions with the same options.
      x: the input of all.
      train: whether to use the statistics of the batch.
    """
    if len(layers) == 1 or not fast_paths.is_on("merged_branches"):
        return [layer(x, train=train) for layer in layers]
    banks = [layer.filters(x.shape[-1], train=train) for layer in layers]
    if len({bank.uses_batch_statistics for bank in banks}) > 1:  # some normalizations are frozen
        return [_apply(layer, x, bank, 1, layer.options) for layer, bank in zip(layers, banks, strict=True)]
    y = _apply(parent, x, _merge(banks), 1, layers[0].options)
    return jnp.split(y, _edges(banks), axis=-1)


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
    """The kernel and bias of a convolution, named and initialized as in `flax.linen.Conv`."""

    shape: tuple[int, int, int, int]
    options: LayerOptions
    use_bias: bool

    @nn.compact
    def __call__(self) -> tuple[Kernel, Channels | None]:
        # Variables that come from a file are NumPy's arrays.
        kernel = jnp.asarray(self.param("kernel", self.options.kernel_init, self.shape, jnp.float32))
        if not self.use_bias:
            return kernel, None
        return kernel, jnp.asarray(self.param("bias", self.options.bias_init, self.shape[-1:], jnp.float32))


def _apply(module: nn.Module, x: Maps, filters: Filters, stride: int, options: LayerOptions) -> Features:
    """Convolve, normalize and rectify; `module` keeps the prepared filters."""
    half = filters.kernel.shape[0] // 2
    is_same = options.padding == "same" and stride > 1  # at stride 1 the two paddings are equal
    padding = "SAME" if is_same else ((half, half), (half, half))
    norm = filters.normalization
    if norm is not None and not norm.use_running_average:
        y = ops.convolve(x, filters.kernel.astype(options.dtype), stride, padding)
        y, mean, variance = ops.batch_norm_relu(y, norm.scale, norm.bias, norm.epsilon)
        norm.update(mean, variance)
        return y
    kernel, bias = (array.astype(options.dtype) for array in filters.fold())
    if module.is_mutable_collection(PREPARED) and not module.is_initializing():
        transforms = stride == 1 and uses_winograd(x, kernel)
        module.put_variable(PREPARED, "kernel", winograd.transform_kernel(kernel) if transforms else kernel)
        module.put_variable(PREPARED, "bias", bias)
    is_transformed = False
    if module.has_variable(PREPARED, "kernel"):
        kernel, bias = (module.get_variable(PREPARED, name) for name in ("kernel", "bias"))
        is_transformed = kernel.shape != filters.kernel.shape
    y = convolve_transformed(x, kernel) if is_transformed else ops.convolve(x, kernel, stride, padding)
    return jax.nn.relu(y + bias.reshape(1, 1, 1, -1))


def _merge(banks: Sequence[Filters]) -> Filters:
    """Return filters whose output is the concatenation of the outputs of others."""
    norms = [bank.normalization for bank in banks if bank.normalization is not None]
    biases = [bank.bias for bank in banks if bank.bias is not None]

    def update(*of_batch: Channels) -> None:
        parts = zip(*(jnp.split(array, _edges(banks)) for array in of_batch), strict=True)
        for norm, (mean, variance) in zip(norms, parts, strict=True):
            norm.update(mean, variance)

    merged = None
    if norms:
        names = ("scale", "bias", "mean", "variance")
        arrays: Any = {name: jnp.concatenate([getattr(norm, name) for norm in norms]) for name in names}
        merged = dataclasses.replace(norms[0], **arrays, update=update)
    kernel = jnp.concatenate([bank.kernel for bank in banks], axis=-1)
    return Filters(kernel, jnp.concatenate(biases) if biases else None, merged)


def _edges(banks: Sequence[Filters]) -> list[int]:
    """Return where the channels of each bank but the first begin in those of all."""
    return list(itertools.accumulate(bank.kernel.shape[-1] for bank in banks))[:-1]
