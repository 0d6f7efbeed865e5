"""GoogLeNet, built from the rows of Table 1 of "Going deeper with convolutions", Szegedy et al., 2014.

The names of the rows are also the names of outputs and parameters.
"""

import functools
from collections.abc import Callable

from flax import linen as nn
from jax.nn.initializers import Initializer
from jax.typing import DTypeLike
from jaxtyping import Array, Float, Float32

from flax_googlenet import ops
from flax_googlenet.config.schema import default_of
from flax_googlenet.models.convolution import Convolution
from flax_googlenet.models.inception import AuxiliaryClassifier, Inception
from flax_googlenet.models.layers import (
    LayerOptions,
    check_image_shape,
    check_network,
    fully_connected,
    linear,
    max_pool,
)
from flax_googlenet.table import (
    ROW_OPTIONS,
    TABLE_1,
    PaperRow,
    RowKind,
    googlenet_rows,
    least_image_size,
)

# Row whose output an auxiliary head reads -> name of the head. By default, a network with one head has the
# upper one, because leaving out the lower head does not cost accuracy ("Rethinking the Inception
# Architecture", 2015, section 4), and the paper itself says that one head is enough.
AUXILIARY_HEADS = {"inception_4a": "aux_4a", "inception_4d": "aux_4d"}


class GoogLeNet(nn.Module):
    """The network of Table 1 and its published variants.

    Attributes:
      num_classes: number of logits of every head.
      normalization: "lrn" for local response normalization at the two places in the stem
        where Figure 3 has it; "batch" for batch normalization after every convolution,
        which then has no bias; or "none".
      lrn_divides_alpha: see `ops.local_response_norm`.
      batch_norm_epsilon: added to the variance.
      stem_reduce: whether a 1x1 convolution with 64 filters precedes the stem's 3x3, the
        table's "3x3 reduce". It has 4,160 parameters.
      reduce3x3, reduce5x5, project_pool: whether the Inception modules have these dimension
        reductions (Figure 2b). Without all three they are the naive modules of Figure 2a.
      third_kernel: side of the filters in the modules' third branch.
      conv_padding: see `LayerOptions.padding`.
      pool_rounding: "ceil" or "floor", the rounding of the output size of the strided poolings.
      pool4_window: side of the windows of the last strided pooling.
      head: "average" for the paper's global average pooling; or "fully_connected" for a
        layer of 1,024 units on the flattened map in its place.
      aux_heads: number of auxiliary classifiers, 2, 1 or 0. They run in training only.
      single_aux_head: the auxiliary classifier of a network with one: "aux_4d" or "aux_4a".
      aux_pooling: see `AuxiliaryClassifier.pooling`.
      dropout, aux_dropout: share dropped before the last layer of the main and the
        auxiliary heads.
      remat: whether the backward pass recomputes the stem and the Inception modules from their
        inputs (`nn.remat`), which keeps fewer activations in memory.
      dtype: dtype of the activations. Parameters, logits and losses are float32.
      kernel_init, bias_init: initializers of all layers; the biases of the last layers
        start at 0.
      table: the rows to build, before the options above change them.
    """

    num_classes: int = default_of("model.num_classes")
    normalization: str = default_of("model.normalization")
    lrn_divides_alpha: bool = default_of("model.lrn_divides_alpha")
    batch_norm_epsilon: float = default_of("model.batch_norm_epsilon")
    stem_reduce: bool = default_of("model.stem_reduce")
    reduce3x3: bool = default_of("model.reduce3x3")
    reduce5x5: bool = default_of("model.reduce5x5")
    project_pool: bool = default_of("model.project_pool")
    third_kernel: int = default_of("model.third_kernel")
    conv_padding: str = default_of("model.conv_padding")
    pool_rounding: str = default_of("model.pool_rounding")
    pool4_window: int = default_of("model.pool4_window")
    head: str = default_of("model.head")
    aux_heads: int = default_of("model.aux_heads")
    single_aux_head: str = default_of("model.single_aux_head")
    aux_pooling: str = default_of("model.aux_pooling")
    dropout: float = default_of("model.dropout")
    aux_dropout: float = default_of("model.aux_dropout")
    remat: bool = default_of("model.remat")
    dtype: DTypeLike = LayerOptions.dtype
    kernel_init: Initializer = LayerOptions.kernel_init
    bias_init: Initializer = LayerOptions.bias_init
    table: tuple[PaperRow, ...] = TABLE_1

    def __post_init__(self) -> None:
        check_network(self)
        super().__post_init__()

    @property
    def rows(self) -> tuple[PaperRow, ...]:
        """The table with the options applied."""
        return googlenet_rows(self.table, {key: getattr(self, key) for key in ROW_OPTIONS})

    @property
    def auxiliary_heads(self) -> dict[str, str]:
        """Names of the auxiliary heads, by the names of the rows that they read."""
        if self.aux_heads == 1:
            return {row: head for row, head in AUXILIARY_HEADS.items() if head == self.single_aux_head}
        return AUXILIARY_HEADS if self.aux_heads else {}

    @property
    def head_names(self) -> tuple[str, ...]:
        """Keys of the outputs in training, the main head first."""
        return ("logits", *self.auxiliary_heads.values())

    @nn.compact
    def __call__(
        self, x: Float[Array, "batch height width 3"], *, train: bool = False, all_heads: bool = False
    ) -> dict[str, Float32[Array, "batch {self.num_classes}"]]:
        """Classify images.

        The output of each row is sown into the collection "intermediates" as ROW_output.
        Make that collection mutable to read the outputs.

        Args:
          x: normalized images of at least 32x32 pixels; of at least 61x61 if `pool_rounding`
            is "floor", or 45x45 if `pool4_window` is 2 as well.
          train: whether to apply dropout, use batch statistics, and run the auxiliary heads.
          all_heads: whether to run the auxiliary heads outside of training too.

        Returns:
          The logits by head: "logits", and "aux_4a" and "aux_4d" if the auxiliary heads run.

        Raises:
          ValueError: if the images are too small.
        """
        rows = self.rows
        check_image_shape("GoogLeNet", x.shape, least_image_size(rows, self.pool_rounding))
        options = LayerOptions(
            dtype=self.dtype,
            kernel_init=self.kernel_init,
            bias_init=self.bias_init,
            padding=self.conv_padding,
            batch_norm=self.normalization == "batch",
            batch_norm_epsilon=self.batch_norm_epsilon,
        )
        outputs = {}
        stem = tuple(row for row in rows if row.name in ("conv1", "pool1", "conv2", "pool2"))
        lrn = functools.partial(ops.local_response_norm, divide_alpha_by_size=self.lrn_divides_alpha)
        normalize = lrn if self.normalization == "lrn" else lambda x: x
        inception: Callable[..., Inception] = functools.partial(
            Inception, third_kernel=self.third_kernel, options=options
        )

        def apply(module: nn.Module, x: Array) -> Array:
            return module(x, train=train)

        apply = nn.remat(apply) if self.remat and train else apply
        x = apply(Stem(stem, normalize, self.pool_rounding, options, name="stem"), x.astype(self.dtype))
        for row in rows[len(stem) :]:
            match row.kind:
                case RowKind.MAX_POOL:
                    x = max_pool(row, x, self.pool_rounding)
                case RowKind.INCEPTION:
                    x = apply(inception(*row.filters, name=row.name), x)
                case RowKind.AVERAGE_POOL:
                    x = x.mean(axis=(1, 2))
                case RowKind.FULLY_CONNECTED:
                    x = fully_connected(x, row.filters[0], options, name=row.name)
                case RowKind.DROPOUT:
                    x = nn.Dropout(self.dropout, deterministic=not train)(x)
                case RowKind.LINEAR:
                    x = linear(x, self.num_classes, options, name=row.name)
                    outputs["logits"] = x
            self.sow("intermediates", f"{row.name}_output", x)
            head = self.auxiliary_heads.get(row.name)
            if head and (train or all_heads or self.is_initializing()):
                auxiliary = AuxiliaryClassifier(
                    self.num_classes, self.aux_dropout, self.aux_pooling, options, name=head
                )
                outputs[head] = auxiliary(x, train=train)
        return outputs


class Stem(nn.Module):
    """The layers before the first Inception module: conv1, pool1, conv2, pool2.

    Attributes:
      rows: the rows of these layers.
      normalize: the normalization after pool1 and after the 3x3 convolution.
      pool_rounding: see `GoogLeNet.pool_rounding`.
      options: see `LayerOptions`.
    """

    rows: tuple[PaperRow, ...]
    normalize: Callable[[Array], Array]
    pool_rounding: str
    options: LayerOptions

    @nn.compact
    def __call__(
        self, x: Float[Array, "batch height width 3"], *, train: bool = False
    ) -> Float[Array, "batch height_out width_out features"]:
        """Apply the layers."""
        for row in self.rows:
            if row.kind is RowKind.MAX_POOL:
                x = max_pool(row, x, self.pool_rounding)
                x = self.normalize(x) if row.name == "pool1" else x
            else:
                *reduction, features = row.filters
                if any(reduction):
                    name = f"{row.name}_reduce"
                    x = Convolution(reduction[0], 1, options=self.options, name=name)(x, train=train)
                convolution = Convolution(features, row.patch, row.stride, self.options, name=row.name)
                x = convolution(x, train=train)
                x = self.normalize(x) if row.name == "conv2" else x
            self.sow("intermediates", f"{row.name}_output", x)
        return x
