"""The Inception module (Figure 2) and the auxiliary classifier (section 5)."""

import dataclasses
from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
from flax import linen as nn

from flax_googlenet import ops
from flax_googlenet.config.kinds import Whole, check
from flax_googlenet.config.schema import KEYS

Initializer = Callable[..., jax.Array]


def check_attributes(module: Any, *counts: str, **keys: str) -> None:
    """Refuse attributes of a module that its config would refuse.

    Args:
      module: a network, or a part of one.
      counts: names of attributes that are at least 1.
      keys: of other attributes, the key of the config whose bounds or choices they share.

    Raises:
      ValueError: an attribute means nothing; it is named, with what it can be.
    """
    name = type(module).__name__
    for attribute in counts:
        check(Whole(at_least=1), getattr(module, attribute), f"{name}.{attribute}")
    for attribute, key in keys.items():
        KEYS[key].check(getattr(module, attribute), f"{name}.{attribute}")


@dataclasses.dataclass(frozen=True)
class LayerOptions:
    """What every layer of a network has in common.

    Attributes:
      dtype: of the activations; parameters and the last layers are always float32.
      kernel_init, bias_init: how weights start.
      padding: "symmetric", half the kernel on every side, as Caffe and PyTorch pad; or
        "same", TensorFlow's, which differs where a convolution strides.
      batch_norm: normalise after each convolution, which then has no bias.
      batch_norm_epsilon, batch_norm_momentum: as `flax.linen.BatchNorm` takes them.
    """

    dtype: Any = jnp.float32
    kernel_init: Initializer = nn.initializers.xavier_uniform()
    bias_init: Initializer = nn.initializers.zeros_init()
    padding: str = "symmetric"
    batch_norm: bool = False
    batch_norm_epsilon: float = 1e-3
    batch_norm_momentum: float = 0.9

    def __post_init__(self) -> None:
        check_attributes(self, padding="model.conv_padding", batch_norm_epsilon="model.batch_norm_epsilon")


class Convolution(nn.Module):
    """A convolution, batch normalisation where the network has it, and ReLU.

    [batch, height, width, in] -> [batch, height', width', features].
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
        same = options.padding == "same" and self.stride > 1  # else it is half the kernel too
        x = nn.Conv(
            self.features,
            (self.kernel_size, self.kernel_size),
            strides=self.stride,
            padding="SAME" if same else ((half, half), (half, half)),
            use_bias=not options.batch_norm,
            dtype=options.dtype,
            kernel_init=options.kernel_init,
            bias_init=options.bias_init,
            conv_general_dilated=ops.conv_general_dilated,
            name="conv",
        )(x)
        if options.batch_norm:
            x = nn.BatchNorm(
                momentum=options.batch_norm_momentum,
                epsilon=options.batch_norm_epsilon,
                dtype=options.dtype,
                name="norm",
            )(x, use_running_average=not train)
        return nn.relu(x)


class Inception(nn.Module):
    """Four branches over the same input, concatenated in the order of Figure 2.

    With dimension reductions (Figure 2b) a 1x1 convolution comes before the 3x3 and
    the 5x5, and after the max pooling. Each can be left out; without all three this is
    the naive form (Figure 2a), where the branches read the input directly and the
    pooled input is passed on whole, so the output has `conv1x1 + conv3x3 + conv5x5 + in`
    channels and grows from module to module.

    Attributes:
      conv1x1, reduce3x3, conv3x3, reduce5x5, conv5x5, pool_proj: number of filters,
        the columns "#1x1" to "pool proj" of the paper's Table 1. A reduction or
        projection with 0 filters is left out.
      third_kernel: side of the third branch's filters; 3 in torchvision and TF-slim,
        where its parameters are called `conv5x5` here all the same.
      options: see `LayerOptions`.
    """

    conv1x1: int
    reduce3x3: int
    conv3x3: int
    reduce5x5: int
    conv5x5: int
    pool_proj: int
    third_kernel: int = 5
    options: LayerOptions = LayerOptions()

    def __post_init__(self) -> None:
        check_attributes(self, third_kernel="model.third_kernel")
        super().__post_init__()

    @nn.compact
    def __call__(self, x: jax.Array, *, train: bool = False) -> jax.Array:
        """[batch, height, width, in] -> [batch, height, width, out]."""

        def convolution(features: int, kernel_size: int, name: str, x: jax.Array) -> jax.Array:
            if not features:
                return x
            return Convolution(features, kernel_size, options=self.options, name=name)(x, train=train)

        branch1x1 = convolution(self.conv1x1, 1, "conv1x1", x)

        branch3x3 = convolution(self.reduce3x3, 1, "reduce3x3", x)
        branch3x3 = convolution(self.conv3x3, 3, "conv3x3", branch3x3)

        branch5x5 = convolution(self.reduce5x5, 1, "reduce5x5", x)
        branch5x5 = convolution(self.conv5x5, self.third_kernel, "conv5x5", branch5x5)

        pooled = ops.max_pool(x, 3, 1, ((1, 1), (1, 1)))
        pooled = convolution(self.pool_proj, 1, "pool_proj", pooled)

        return jnp.concatenate([branch1x1, branch3x3, branch5x5, pooled], axis=-1)


class AuxiliaryClassifier(nn.Module):
    """A small classifier on an inner feature map, for training only.

    Average pooling to 4x4 (`ops.average_pool_grid`, the paper's 5x5 windows at
    stride 3 on a 14x14 map), a 1x1 convolution with 128 filters, a fully connected
    layer of 1024 units, dropout, and a linear layer.

    Attributes:
      num_classes: number of logits.
      dropout: share of the 1024 units that is dropped in training.
      pooling: "paper", or "adaptive" for the windows of PyTorch's adaptive pooling.
    """

    num_classes: int
    dropout: float = 0.7
    pooling: str = "paper"
    options: LayerOptions = LayerOptions()

    def __post_init__(self) -> None:
        check_attributes(self, "num_classes", dropout="model.aux_dropout", pooling="model.aux_pooling")
        super().__post_init__()

    @nn.compact
    def __call__(self, x: jax.Array, *, train: bool = False) -> jax.Array:
        """[batch, height, width, channels] -> float32 logits [batch, num_classes]."""
        options = self.options
        x = ops.average_pool_grid(x, 4, adaptive=self.pooling == "adaptive")
        x = Convolution(128, 1, options=options, name="conv")(x, train=train)
        x = fully_connected(x, 1024, options, name="fc")
        x = nn.Dropout(self.dropout, deterministic=not train)(x)
        return linear(x, self.num_classes, options, name="head")


def fully_connected(x: jax.Array, units: int, options: LayerOptions, name: str) -> jax.Array:
    """Flatten, a linear layer, ReLU: [batch, ...] -> [batch, units].

    A map is flattened as height, width, channels: another order than Caffe's and
    PyTorch's, whose weights are permuted when they come in.
    """
    layer = nn.Dense(
        units, dtype=options.dtype, kernel_init=options.kernel_init, bias_init=options.bias_init, name=name
    )
    return nn.relu(layer(x.reshape(x.shape[0], -1)))


def linear(x: jax.Array, num_classes: int, options: LayerOptions, name: str) -> jax.Array:
    """Return the logits: [batch, units] of any type -> float32 [batch, num_classes].

    This layer computes in float32 whatever `options.dtype` is: rounded to bfloat16, logits
    near 8 are 1/16 apart, and classes tie. Its bias starts at 0 so that none is preferred.
    """
    layer = nn.Dense(num_classes, dtype=jnp.float32, kernel_init=options.kernel_init, name=name)
    return layer(x.astype(jnp.float32))
