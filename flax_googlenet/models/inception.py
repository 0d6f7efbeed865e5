"""The Inception module (Figure 2) and the auxiliary classifier (section 5)."""

import jax.numpy as jnp
from flax import linen as nn
from jaxtyping import Array, Float, Float32

from flax_googlenet import ops
from flax_googlenet.config.schema import default_of
from flax_googlenet.models.convolution import Convolution
from flax_googlenet.models.layers import (
    LayerOptions,
    check_attributes,
    fully_connected,
    linear,
)


class Inception(nn.Module):
    """Four branches over the same input, concatenated in the order of Figure 2.

    With dimension reductions (Figure 2b), a 1x1 convolution comes before the 3x3 and the
    5x5 convolution and after the max pooling. Each of the three can be left out. Without all
    three this is the naive module (Figure 2a): the branches read the input directly, and the
    pooled input keeps its channels, so the output has `conv1x1 + conv3x3 + conv5x5 + channels`
    channels, more from module to module.

    Attributes:
      conv1x1, reduce3x3, conv3x3, reduce5x5, conv5x5, pool_proj: number of filters,
        the columns "#1x1" to "pool proj" of the paper's Table 1. A reduction or
        projection with 0 filters is left out.
      third_kernel: side of the third branch's filters, which is 3 in torchvision and TF-slim.
        The parameters are called `conv5x5` in any case.
      options: see `LayerOptions`.
    """

    conv1x1: int
    reduce3x3: int
    conv3x3: int
    reduce5x5: int
    conv5x5: int
    pool_proj: int
    third_kernel: int = default_of("model.third_kernel")
    options: LayerOptions = LayerOptions()

    def __post_init__(self) -> None:
        check_attributes(self, third_kernel="model.third_kernel")
        super().__post_init__()

    @nn.compact
    def __call__(
        self, x: Float[Array, "batch height width channels"], *, train: bool = False
    ) -> Float[Array, "batch height width features"]:
        """Apply the four branches."""

        def convolution(features: int, kernel_size: int, name: str, x: Array) -> Array:
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
    """A small classifier on an inner feature map, used in training only.

    It averages the map to 4x4 (`ops.average_pool_grid`, the paper's 5x5 windows at stride 3
    on a 14x14 map) and applies a 1x1 convolution with 128 filters, a fully connected layer of
    1,024 units, dropout, and a linear layer.

    Attributes:
      num_classes: number of logits.
      dropout: share of the 1,024 units that is dropped in training.
      pooling: "paper", or "adaptive" for the windows of PyTorch's adaptive pooling.
      options: see `LayerOptions`.
    """

    num_classes: int
    dropout: float = default_of("model.aux_dropout")
    pooling: str = default_of("model.aux_pooling")
    options: LayerOptions = LayerOptions()

    def __post_init__(self) -> None:
        check_attributes(self, dropout="model.aux_dropout", pooling="model.aux_pooling")
        super().__post_init__()

    @nn.compact
    def __call__(
        self, x: Float[Array, "batch height width channels"], *, train: bool = False
    ) -> Float32[Array, "batch {self.num_classes}"]:
        """Return the logits."""
        options = self.options
        x = ops.average_pool_grid(x, 4, adaptive=self.pooling == "adaptive")
        x = Convolution(128, 1, options=options, name="conv")(x, train=train)
        x = fully_connected(x, 1024, options, name="fc")
        x = nn.Dropout(self.dropout, deterministic=not train)(x)
        return linear(x, self.num_classes, options, name="head")
