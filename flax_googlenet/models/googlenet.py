"""GoogLeNet: the network that Table 1 of "Going deeper with convolutions" drives.

Szegedy et al., 2014. Names of rows are names of outputs and of parameters.
"""

import functools
from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
from flax import linen as nn

from flax_googlenet import ops
from flax_googlenet.models.inception import (
    AuxiliaryClassifier,
    Convolution,
    Inception,
    LayerOptions,
    check_attributes,
    fully_connected,
    linear,
)
from flax_googlenet.table import ROW_OPTIONS, TABLE_1, PaperRow, googlenet_rows, least_image_size

# "inception_4a" -> "aux_4a": the auxiliary heads read the outputs of these rows. A single
# one is the upper: without the lower nothing is lost ("Rethinking the Inception
# Architecture", 2015, section 4), and the paper itself finds one to be enough.
AUXILIARY_HEADS = {"inception_4a": "aux_4a", "inception_4d": "aux_4d"}


class GoogLeNet(nn.Module):
    """The network of Table 1, and what others have made of it.

    Attributes:
      num_classes: number of logits of every head.
      normalization: "lrn", local response normalisation at the two places in the stem
        where Figure 3 has it; "batch", batch normalisation after every convolution
        (which then has no bias); or "none".
      lrn_divides_alpha: see `ops.local_response_norm`.
      batch_norm_epsilon: added to the variance.
      stem_reduce: the 1x1 convolution with 64 filters before the stem's 3x3, the
        table's "3x3 reduce". Without it the network has 4,160 parameters fewer.
      reduce3x3, reduce5x5, project_pool: the dimension reductions of the Inception
        modules (Figure 2b); without all three they are those of Figure 2a.
      third_kernel: side of the filters in the modules' third branch.
      conv_padding: see `LayerOptions`.
      pool_rounding: "ceil" or "floor", of the output size of the strided poolings.
      pool4_window: side of the last strided pooling's windows.
      head: "average", the paper's global average pooling; or "fully_connected", a
        layer of 1,024 units on the flattened map in its place.
      aux_heads: 2, 1 (aux_4d alone) or 0 auxiliary classifiers. They run in training only.
      aux_pooling: see `AuxiliaryClassifier`.
      dropout, aux_dropout: share dropped before the last layer of each head.
      dtype: of activations. Parameters, logits and losses are float32.
      kernel_init, bias_init: initialisers of every layer but the biases of the last
        ones, which start at 0.
      table: the rows to build, before the options above change them.
    """

    num_classes: int = 1000
    normalization: str = "lrn"
    lrn_divides_alpha: bool = False
    batch_norm_epsilon: float = 1e-3
    stem_reduce: bool = True
    reduce3x3: bool = True
    reduce5x5: bool = True
    project_pool: bool = True
    third_kernel: int = 5
    conv_padding: str = "symmetric"
    pool_rounding: str = "ceil"
    pool4_window: int = 3
    head: str = "average"
    aux_heads: int = 2
    aux_pooling: str = "paper"
    dropout: float = 0.4
    aux_dropout: float = 0.7
    dtype: Any = jnp.float32
    kernel_init: Any = nn.initializers.xavier_uniform()
    bias_init: Any = nn.initializers.zeros_init()
    table: tuple[PaperRow, ...] = TABLE_1

    def __post_init__(self) -> None:
        keys = ["normalization", "batch_norm_epsilon", "third_kernel", "conv_padding", "pool_rounding"]
        keys += ["pool4_window", "head", "aux_heads", "aux_pooling", "dropout", "aux_dropout"]
        check_attributes(self, "num_classes", **{key: f"model.{key}" for key in keys})
        super().__post_init__()

    @property
    def rows(self) -> tuple[PaperRow, ...]:
        """The table as the options change it."""
        return googlenet_rows(self.table, {key: getattr(self, key) for key in ROW_OPTIONS})

    @property
    def auxiliary_heads(self) -> dict[str, str]:
        """Row -> the auxiliary head that reads it, of the heads that there are."""
        return dict(list(AUXILIARY_HEADS.items())[len(AUXILIARY_HEADS) - self.aux_heads :])

    @property
    def head_names(self) -> tuple[str, ...]:
        """Keys of the outputs in training, the main head first."""
        return ("logits", *self.auxiliary_heads.values())

    @nn.compact
    def __call__(self, x: jax.Array, *, train: bool = False, all_heads: bool = False) -> dict[str, jax.Array]:
        """Classify images.

        The output of every row of the table is sown into the collection "intermediates"
        as ROW_output, for whoever makes that collection mutable.

        Args:
          x: normalised images, [batch, height, width, 3], at least 32x32; 61x61 where
            `pool_rounding` is "floor", 45x45 if `pool4_window` is 2 too.
          train: drop out, use batch statistics, and answer for the auxiliary heads.
          all_heads: answer for the auxiliary heads outside of training too.

        Returns:
          {"logits": [batch, num_classes]}, float32; in training, or on request, also
          "aux_4a" and "aux_4d" if the network has auxiliary heads.

        Raises:
          ValueError: the images are so small that nothing is left of the last map.
        """
        rows = self.rows
        check_image_shape("GoogLeNet", x, least_image_size(rows, self.pool_rounding))
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
        inception: Any = functools.partial(Inception, third_kernel=self.third_kernel, options=options)
        x = Stem(stem, normalize, self.pool_rounding, options, name="stem")(x.astype(self.dtype), train=train)
        for row in rows[len(stem) :]:
            if row.kind == "max pool":
                x = max_pool(row, x, self.pool_rounding)
            elif row.kind == "inception":
                x = inception(*row.filters, name=row.name)(x, train=train)
            elif row.kind == "avg pool":
                x = x.mean(axis=(1, 2))
            elif row.kind == "fully connected":
                x = fully_connected(x, row.filters[0], options, name=row.name)
            elif row.kind == "dropout":
                x = nn.Dropout(self.dropout, deterministic=not train)(x)
            else:
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
    """Everything before the first Inception module: conv1, pool1, conv2, pool2.

    `normalize` comes after pool1 and after the 3x3 convolution.
    """

    rows: tuple[PaperRow, ...]
    normalize: Callable[[jax.Array], jax.Array]
    pool_rounding: str
    options: LayerOptions

    @nn.compact
    def __call__(self, x: jax.Array, *, train: bool = False) -> jax.Array:
        """[batch, height, width, 3] -> [batch, ~height / 8, ~width / 8, 192]."""
        for row in self.rows:
            if row.kind == "max pool":
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


def max_pool(row: PaperRow, x: jax.Array, rounding: str = "ceil") -> jax.Array:
    """A row's pooling, rounding its output size up, as the table does, or down."""
    ceil = ops.pooling.ceil_mode_padding((x.shape[1], x.shape[2]), row.patch, row.stride)
    return ops.max_pool(x, row.patch, row.stride, ceil if rounding == "ceil" else ((0, 0), (0, 0)))


def check_image_shape(network: str, x: jax.Array, least: int) -> None:
    """Refuse what is not a batch of images, or of which nothing would be left.

    Raises:
      ValueError: `x` is not [batch, height, width, 3] with sides of at least `least`.
    """
    if x.ndim != 4 or x.shape[-1] != 3 or min(x.shape[1:3]) < least:
        raise ValueError(
            f"{network} takes images [batch, height, width, 3] of at least {least}x{least} pixels; "
            f"got {x.shape}."
        )
