"""GoogLeNet: Table 1 of "Going deeper with convolutions" as data, and the network it drives.

Szegedy et al., 2014. Names of rows are names of outputs and of parameters.
"""

import dataclasses
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
    fully_connected,
    linear,
)
from flax_googlenet.models.table import Table


@dataclasses.dataclass(frozen=True)
class PaperRow:
    """A row of Table 1: what it builds, and what the paper says of it at 224x224.

    Attributes:
      name: the row's name here.
      kind: "convolution", "max pool", "inception", "avg pool", "fully connected",
        "dropout" or "linear".
      patch, stride: window and step of a convolution or pooling; 0 where there is none.
      output: height, width and channels, as printed.
      depth: number of layers with parameters, as printed.
      filters: of an Inception module, "#1x1" to "pool proj"; of the stem's second
        convolution, its reduction and itself. 0: left out.
      params, ops: as printed, e.g. "159K" and "128M"; empty where the paper has none.
    """

    name: str
    kind: str
    patch: int
    stride: int
    output: tuple[int, int, int]
    depth: int
    filters: tuple[int, ...] = ()
    params: str = ""
    ops: str = ""


def _inception(
    name: str, size: int, depth: int, filters: tuple[int, ...], params: str, cost: str
) -> PaperRow:
    return PaperRow(f"inception_{name}", "inception", 0, 1, (size, size, depth), 2, filters, params, cost)


def _max_pool(name: str, size: int, depth: int) -> PaperRow:
    return PaperRow(name, "max pool", 3, 2, (size, size, depth), 0)


TABLE_1: tuple[PaperRow, ...] = (
    PaperRow("conv1", "convolution", 7, 2, (112, 112, 64), 1, (64,), "2.7K", "34M"),
    _max_pool("pool1", 56, 64),
    PaperRow("conv2", "convolution", 3, 1, (56, 56, 192), 2, (64, 192), "112K", "360M"),
    _max_pool("pool2", 28, 192),
    _inception("3a", 28, 256, (64, 96, 128, 16, 32, 32), "159K", "128M"),
    _inception("3b", 28, 480, (128, 128, 192, 32, 96, 64), "380K", "304M"),
    _max_pool("pool3", 14, 480),
    _inception("4a", 14, 512, (192, 96, 208, 16, 48, 64), "364K", "73M"),
    _inception("4b", 14, 512, (160, 112, 224, 24, 64, 64), "437K", "88M"),
    _inception("4c", 14, 512, (128, 128, 256, 24, 64, 64), "463K", "100M"),
    _inception("4d", 14, 528, (112, 144, 288, 32, 64, 64), "580K", "119M"),
    _inception("4e", 14, 832, (256, 160, 320, 32, 128, 128), "840K", "170M"),
    _max_pool("pool4", 7, 832),
    _inception("5a", 7, 832, (256, 160, 320, 32, 128, 128), "1072K", "54M"),
    _inception("5b", 7, 1024, (384, 192, 384, 48, 128, 128), "1388K", "71M"),
    PaperRow("avg_pool", "avg pool", 7, 1, (1, 1, 1024), 0),
    PaperRow("dropout", "dropout", 0, 0, (1, 1, 1024), 0),
    PaperRow("head", "linear", 0, 0, (1, 1, 1000), 1, (), "1000K", "1M"),
)

# "inception_4a" -> "aux_4a": the auxiliary heads read the outputs of these rows. A single
# one is the upper: without the lower nothing is lost ("Rethinking the Inception
# Architecture", 2015, section 4), and the paper itself finds one to be enough.
AUXILIARY_HEADS = {"inception_4a": "aux_4a", "inception_4d": "aux_4d"}
FULLY_CONNECTED_UNITS = 1024

MIN_IMAGE_SIZE = 32


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
    table: tuple[PaperRow, ...] = Table(TABLE_1)

    @property
    def rows(self) -> tuple[PaperRow, ...]:
        """The table as the options change it."""
        return tuple(map(self._row, self.table))

    def _row(self, row: PaperRow) -> PaperRow:
        if row.name == "pool4":
            return dataclasses.replace(row, patch=self.pool4_window)
        if row.name == "conv2" and not self.stem_reduce:
            return dataclasses.replace(row, filters=(0, row.filters[-1]))
        if row.kind == "inception":
            kept = (True, self.reduce3x3, True, self.reduce5x5, True, self.project_pool)
            filters = tuple(n if keep else 0 for n, keep in zip(row.filters, kept, strict=True))
            return dataclasses.replace(row, filters=filters)
        if row.kind == "avg pool" and self.head == "fully_connected":
            units = FULLY_CONNECTED_UNITS
            return PaperRow("fc", "fully connected", 0, 0, (1, 1, units), 1, (units,))
        return row

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
          x: normalised images, [batch, height, width, 3], at least 32x32.
          train: drop out, use batch statistics, and answer for the auxiliary heads.
          all_heads: answer for the auxiliary heads outside of training too.

        Returns:
          {"logits": [batch, num_classes]}, float32; in training, or on request, also
          "aux_4a" and "aux_4d" if the network has auxiliary heads.

        Raises:
          ValueError: the images are too small for five halvings.
        """
        check_image_shape("GoogLeNet", x)
        options = LayerOptions(
            dtype=self.dtype,
            kernel_init=self.kernel_init,
            bias_init=self.bias_init,
            padding=self.conv_padding,
            batch_norm=self.normalization == "batch",
            batch_norm_epsilon=self.batch_norm_epsilon,
        )
        outputs = {}
        rows = self.rows
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
                x = linear(self.num_classes, options, name=row.name)(x).astype(jnp.float32)
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


def check_image_shape(network: str, x: jax.Array) -> None:
    """Refuse what cannot be halved five times.

    Raises:
      ValueError: `x` is not [batch, height, width, 3] of at least 32x32.
    """
    if x.ndim != 4 or x.shape[-1] != 3 or min(x.shape[1:3]) < MIN_IMAGE_SIZE:
        raise ValueError(
            f"{network} takes images [batch, height, width, 3] of at least "
            f"{MIN_IMAGE_SIZE}x{MIN_IMAGE_SIZE} pixels; got {x.shape}."
        )
