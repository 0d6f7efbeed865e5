"""VGG-16, configuration D of "Very deep convolutional networks", Simonyan & Zisserman, 2014.

GoogLeNet is often compared with it. It has 138 million parameters, most of them in one fully
connected layer. Layers have Caffe's names.
"""

from flax import linen as nn
from jax.nn.initializers import Initializer
from jax.typing import DTypeLike
from jaxtyping import Array, Float, Float32

from flax_googlenet.config.kinds import Choice, check
from flax_googlenet.config.schema import default_of
from flax_googlenet.models.convolution import Convolution
from flax_googlenet.models.layers import (
    LayerOptions,
    check_image_shape,
    check_network,
    fully_connected,
    linear,
    max_pool,
)
from flax_googlenet.table import CONFIGURATION_D, PaperRow, RowKind, least_image_size
from flax_googlenet.variants import VARIANTS

POOL_ROUNDING = "floor"


class VGG16(nn.Module):
    """Thirteen 3x3 convolutions and three fully connected layers.

    Attributes:
      num_classes: number of logits.
      normalization: "none", or "batch" for batch normalization after every convolution,
        which then has no bias.
      batch_norm_epsilon: added to the variance.
      dropout: share dropped after each of the two fully connected layers.
      dtype: dtype of the activations. Parameters, logits and losses are float32.
      kernel_init, bias_init: initializers of all layers; the bias of the last one starts at 0.
      table: the rows to build.
    """

    num_classes: int = default_of("model.num_classes")
    normalization: str = VARIANTS["vgg16"]["model"]["normalization"]
    batch_norm_epsilon: float = default_of("model.batch_norm_epsilon")
    dropout: float = VARIANTS["vgg16"]["model"]["dropout"]
    dtype: DTypeLike = LayerOptions.dtype
    kernel_init: Initializer = LayerOptions.kernel_init
    bias_init: Initializer = LayerOptions.bias_init
    table: tuple[PaperRow, ...] = CONFIGURATION_D

    def __post_init__(self) -> None:
        check(Choice("none", "batch"), self.normalization, "VGG16.normalization")
        check_network(self)
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
    def __call__(
        self, x: Float[Array, "batch height width 3"], *, train: bool = False, all_heads: bool = False
    ) -> dict[str, Float32[Array, "batch {self.num_classes}"]]:
        """Classify images.

        Args:
          x: normalized images of at least 32x32 pixels, of the same size as at initialization.
          train: whether to apply dropout and use batch statistics.
          all_heads: ignored; it exists for compatibility with `GoogLeNet`.

        Returns:
          The logits, under the key "logits".

        Raises:
          ValueError: if the images are too small.
        """
        del all_heads
        check_image_shape("VGG-16", x.shape, least_image_size(self.rows, POOL_ROUNDING))
        options = LayerOptions(
            dtype=self.dtype,
            kernel_init=self.kernel_init,
            bias_init=self.bias_init,
            batch_norm=self.normalization == "batch",
            batch_norm_epsilon=self.batch_norm_epsilon,
        )
        x = x.astype(self.dtype)
        for row in self.rows:
            match row.kind:
                case RowKind.CONVOLUTION:
                    x = Convolution(row.filters[0], row.patch, options=options, name=row.name)(x, train=train)
                case RowKind.MAX_POOL:
                    x = max_pool(row, x, POOL_ROUNDING)
                case RowKind.FULLY_CONNECTED:
                    x = fully_connected(x, row.filters[0], options, name=row.name)
                case RowKind.DROPOUT:
                    x = nn.Dropout(self.dropout, deterministic=not train)(x)
                case RowKind.LINEAR:
                    x = linear(x, self.num_classes, options, name=row.name)
            self.sow("intermediates", f"{row.name}_output", x)
        return {"logits": x}
