"""VGG-16: configuration D of "Very deep convolutional networks", Simonyan & Zisserman, 2014.

The network that the readers of the GoogLeNet paper compare it with: 138 million
parameters, most of them in one fully connected layer. Layers have Caffe's names.
"""

from typing import Any

import jax
import jax.numpy as jnp
from flax import linen as nn

from flax_googlenet.config.kinds import Choice, check
from flax_googlenet.models.googlenet import check_image_shape, max_pool
from flax_googlenet.models.inception import (
    Convolution,
    LayerOptions,
    check_attributes,
    fully_connected,
    linear,
)
from flax_googlenet.table import CONFIGURATION_D, PaperRow, least_image_size

POOL_ROUNDING = "floor"


class VGG16(nn.Module):
    """Thirteen 3x3 convolutions and three fully connected layers.

    Attributes:
      num_classes: number of logits.
      normalization: "none", or "batch" after every convolution (which then has no bias).
      batch_norm_epsilon: added to the variance.
      dropout: share dropped after each of the two fully connected layers.
      dtype: of activations. Parameters, logits and losses are float32.
      kernel_init, bias_init: initialisers of every layer but the bias of the last.
      table: the rows to build.
    """

    num_classes: int = 1000
    normalization: str = "none"
    batch_norm_epsilon: float = 1e-3
    dropout: float = 0.5
    dtype: Any = jnp.float32
    kernel_init: Any = nn.initializers.xavier_uniform()
    bias_init: Any = nn.initializers.zeros_init()
    table: tuple[PaperRow, ...] = CONFIGURATION_D

    def __post_init__(self) -> None:
        keys = ("batch_norm_epsilon", "dropout")
        check_attributes(self, "num_classes", **{key: f"model.{key}" for key in keys})
        check(Choice("none", "batch"), self.normalization, "VGG16.normalization")
        super().__post_init__()

    @property
    def rows(self) -> tuple[PaperRow, ...]:
        """The table."""
        return self.table

    @property
    def head_names(self) -> tuple[str, ...]:
        """Keys of the outputs."""
        return ("logits",)

    @nn.compact
    def __call__(self, x: jax.Array, *, train: bool = False, all_heads: bool = False) -> dict[str, jax.Array]:
        """Classify images.

        Args:
          x: normalised images, [batch, height, width, 3], at least 32x32. The size at
            initialisation is the only one that the weights then fit.
          train: drop out and use batch statistics.
          all_heads: means nothing here; there is one.

        Returns:
          {"logits": [batch, num_classes]}, float32.

        Raises:
          ValueError: the images are too small for five halvings.
        """
        del all_heads
        check_image_shape("VGG-16", x, least_image_size(self.rows, POOL_ROUNDING))
        options = LayerOptions(
            dtype=self.dtype,
            kernel_init=self.kernel_init,
            bias_init=self.bias_init,
            batch_norm=self.normalization == "batch",
            batch_norm_epsilon=self.batch_norm_epsilon,
        )
        x = x.astype(self.dtype)
        for row in self.rows:
            if row.kind == "convolution":
                x = Convolution(row.filters[0], row.patch, options=options, name=row.name)(x, train=train)
            elif row.kind == "max pool":
                x = max_pool(row, x, POOL_ROUNDING)
            elif row.kind == "fully connected":
                x = fully_connected(x, row.filters[0], options, name=row.name)
            elif row.kind == "dropout":
                x = nn.Dropout(self.dropout, deterministic=not train)(x)
            else:
                x = linear(x, self.num_classes, options, name=row.name)
            self.sow("intermediates", f"{row.name}_output", x)
        return {"logits": x}
