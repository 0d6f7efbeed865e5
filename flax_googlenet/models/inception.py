"""The Inception module (Figure 2) and the auxiliary classifier (section 5)."""

import dataclasses
import functools
from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
from flax import linen as nn

from flax_googlenet import ops

Initializer = Callable[..., jax.Array]


@dataclasses.dataclass(frozen=True)
class LayerOptions:
    """What every layer of a network has in common.

    Attributes:
      dtype: of the activations; parameters are always float32.
      kernel_init, bias_init: how weights start.
      batch_norm: normalise after each convolution, which then has no bias.
      batch_norm_epsilon, batch_norm_momentum: as `flax.linen.BatchNorm` takes them.
    """

    dtype: Any = jnp.float32
    kernel_init: Initializer = nn.initializers.xavier_uniform()
    bias_init: Initializer = nn.initializers.zeros_init()
    batch_norm: bool = False
    batch_norm_epsilon: float = 1e-3
    batch_norm_momentum: float = 0.9


class Convolution(nn.Module):
    """A convolution, batch normalisation where the network has it, and ReLU.

    [batch, height, width, in] -> [batch, height', width', features]. The input is
    padded by half the kernel on every side.
    """

    features: int
    kernel_size: int = 1
    stride: int = 1
    options: LayerOptions = LayerOptions()

    @nn.compact
    def __call__(self, x: jax.Array, *, train: bool = False) -> jax.Array:
        """Convolve, normalise, rectify."""
        options = self.options
        half = self.kernel_size // 2
        x = nn.Conv(
            self.features,
            (self.kernel_size, self.kernel_size),
            strides=self.stride,
            padding=((half, half), (half, half)),
            use_bias=not options.batch_norm,
            dtype=options.dtype,
            kernel_init=options.kernel_init,
            bias_init=options.bias_init,
            conv_general_dilated=ops.conv_general_dilated,
            name="conv",
        )(x)
        if options.batch_norm:
            x = nn.BatchNorm(
                use_running_average=not train,
                momentum=options.batch_norm_momentum,
                epsilon=options.batch_norm_epsilon,
                dtype=options.dtype,
                name="norm",
            )(x)
        return nn.relu(x)


class Inception(nn.Module):
    """Four branches over the same input, concatenated in the order of Figure 2.

    With dimension reductions (Figure 2b) a 1x1 convolution comes before the 3x3 and
    the 5x5, and after the max pooling. In the naive form (Figure 2a) the branches
    read the input directly and the pooled input is passed on whole, so the output
    has `conv1x1 + conv3x3 + conv5x5 + in` channels and grows from module to module.

    Attributes:
      conv1x1, reduce3x3, conv3x3, reduce5x5, conv5x5, pool_proj: number of filters,
        the columns "#1x1" to "pool proj" of the paper's Table 1.
      dimension_reduction: Figure 2b if true, 2a if not.
      options: see `LayerOptions`.
    """

    conv1x1: int
    reduce3x3: int
    conv3x3: int
    reduce5x5: int
    conv5x5: int
    pool_proj: int
    dimension_reduction: bool = True
    options: LayerOptions = LayerOptions()

    @nn.compact
    def __call__(self, x: jax.Array, *, train: bool = False) -> jax.Array:
        """[batch, height, width, in] -> [batch, height, width, out]."""
        convolution = functools.partial(Convolution, options=self.options)
        reduce = self.dimension_reduction

        branch1x1 = convolution(self.conv1x1, 1, name="conv1x1")(x, train=train)

        branch3x3 = convolution(self.reduce3x3, 1, name="reduce3x3")(x, train=train) if reduce else x
        branch3x3 = convolution(self.conv3x3, 3, name="conv3x3")(branch3x3, train=train)

        branch5x5 = convolution(self.reduce5x5, 1, name="reduce5x5")(x, train=train) if reduce else x
        branch5x5 = convolution(self.conv5x5, 5, name="conv5x5")(branch5x5, train=train)

        pooled = ops.max_pool(x, 3, 1, ((1, 1), (1, 1)))
        if reduce:
            pooled = convolution(self.pool_proj, 1, name="pool_proj")(pooled, train=train)

        return jnp.concatenate([branch1x1, branch3x3, branch5x5, pooled], axis=-1)


class AuxiliaryClassifier(nn.Module):
    """A small classifier on an inner feature map, for training only.

    Average pooling to 4x4 (`ops.average_pool_grid`, the paper's 5x5 windows at
    stride 3 on a 14x14 map), a 1x1 convolution with 128 filters, a fully connected
    layer of 1024 units, dropout, and a linear layer.

    Attributes:
      num_classes: number of logits.
      dropout: share of the 1024 units that is dropped in training.
    """

    num_classes: int
    dropout: float = 0.7
    options: LayerOptions = LayerOptions()

    @nn.compact
    def __call__(self, x: jax.Array, *, train: bool = False) -> jax.Array:
        """[batch, height, width, channels] -> float32 logits [batch, num_classes]."""
        options = self.options
        x = ops.average_pool_grid(x, 4)
        x = Convolution(128, 1, options=options, name="conv")(x, train=train)
        x = x.reshape(x.shape[0], -1)  # height, width, channels: another order than Caffe's
        x = nn.Dense(
            1024, dtype=options.dtype, kernel_init=options.kernel_init, bias_init=options.bias_init, name="fc"
        )(x)
        x = nn.relu(x)
        x = nn.Dropout(self.dropout, deterministic=not train)(x)
        return linear(self.num_classes, options, name="head")(x).astype(jnp.float32)


def linear(num_classes: int, options: LayerOptions, name: str) -> nn.Dense:
    """The layer before a softmax. Its bias starts at 0 so that no class is preferred."""
    return nn.Dense(num_classes, dtype=options.dtype, kernel_init=options.kernel_init, name=name)
