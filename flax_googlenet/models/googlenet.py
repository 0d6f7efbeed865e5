"""GoogLeNet: Table 1 of "Going deeper with convolutions" as data, and the network it drives.

Szegedy et al., 2014. Names of rows are names of outputs and of parameters.
"""

import dataclasses
import functools
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
    linear,
)


@dataclasses.dataclass(frozen=True)
class PaperRow:
    """A row of Table 1: what it builds, and what the paper says of it at 224x224.

    Attributes:
      name: the row's name here.
      kind: "convolution", "max pool", "inception", "avg pool", "dropout" or "linear".
      patch, stride: window and step of a convolution or pooling; 0 where there is none.
      output: height, width and channels, as printed.
      depth: number of layers with parameters, as printed.
      filters: of an Inception module, "#1x1" to "pool proj"; of the stem's second
        convolution, its reduction and itself.
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

# "inception_4a" -> "aux_4a": the auxiliary heads read the outputs of these rows.
AUXILIARY_HEADS = {"inception_4a": "aux_4a", "inception_4d": "aux_4d"}

MIN_IMAGE_SIZE = 32


class Stem(nn.Module):
    """Everything before the first Inception module: conv1, pool1, conv2, pool2.

    Local response normalisation, where the network has it, comes after pool1 and
    after the 3x3 convolution.
    """

    rows: tuple[PaperRow, ...]
    reduce: bool = True
    local_response_norm: bool = False
    options: LayerOptions = LayerOptions()

    @nn.compact
    def __call__(self, x: jax.Array, *, train: bool = False) -> jax.Array:
        """[batch, height, width, 3] -> [batch, ~height / 8, ~width / 8, 192]."""
        normalize = ops.local_response_norm if self.local_response_norm else lambda x: x
        for row in self.rows:
            if row.kind == "max pool":
                x = max_pool(row, x)
                x = normalize(x) if row.name == "pool1" else x
            else:
                *reductions, features = row.filters
                if self.reduce:
                    for reduction in reductions:
                        name = f"{row.name}_reduce"
                        x = Convolution(reduction, 1, options=self.options, name=name)(x, train=train)
                convolution = Convolution(features, row.patch, row.stride, self.options, name=row.name)
                x = convolution(x, train=train)
                x = normalize(x) if row.name == "conv2" else x
            self.sow("intermediates", f"{row.name}_output", x)
        return x


class GoogLeNet(nn.Module):
    """The network of Table 1.

    Attributes:
      num_classes: number of logits of every head.
      normalization: "none" as in the paper's text; "lrn", local response
        normalisation at two places in the stem; or "batch", batch normalisation
        after every convolution (which then has no bias).
      dimension_reduction: the Inception modules of Figure 2b, or of 2a.
      stem_reduce: the 1x1 convolution with 64 filters before the stem's 3x3, the
        table's "3x3 reduce". Without it the network has 4,160 parameters fewer.
      aux_heads: build the auxiliary classifiers. They run in training only.
      dropout, aux_dropout: share dropped before the last layer of each head.
      dtype: of activations. Parameters, logits and losses are float32.
      kernel_init, bias_init: initialisers of every layer but the biases of the last
        ones, which start at 0.
      table: the rows to build.
    """

    num_classes: int = 1000
    normalization: str = "none"
    dimension_reduction: bool = True
    stem_reduce: bool = True
    aux_heads: bool = True
    dropout: float = 0.4
    aux_dropout: float = 0.7
    dtype: Any = jnp.float32
    kernel_init: Any = nn.initializers.xavier_uniform()
    bias_init: Any = nn.initializers.zeros_init()
    table: tuple[PaperRow, ...] = TABLE_1

    @property
    def head_names(self) -> tuple[str, ...]:
        """Keys of the outputs in training, the main head first."""
        return ("logits", *(AUXILIARY_HEADS.values() if self.aux_heads else ()))

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
        if x.ndim != 4 or x.shape[-1] != 3 or min(x.shape[1:3]) < MIN_IMAGE_SIZE:
            raise ValueError(
                f"GoogLeNet takes images [batch, height, width, 3] of at least "
                f"{MIN_IMAGE_SIZE}x{MIN_IMAGE_SIZE} pixels; got {x.shape}."
            )
        options = LayerOptions(
            dtype=self.dtype,
            kernel_init=self.kernel_init,
            bias_init=self.bias_init,
            batch_norm=self.normalization == "batch",
        )
        inception = functools.partial(
            Inception, dimension_reduction=self.dimension_reduction, options=options
        )
        outputs = {}
        stem = tuple(row for row in self.table if row.name in ("conv1", "pool1", "conv2", "pool2"))
        x = x.astype(self.dtype)
        x = Stem(stem, self.stem_reduce, self.normalization == "lrn", options, name="stem")(x, train=train)
        for row in self.table[len(stem) :]:
            if row.kind == "max pool":
                x = max_pool(row, x)
            elif row.kind == "inception":
                x = inception(*row.filters, name=row.name)(x, train=train)
            elif row.kind == "avg pool":
                x = x.mean(axis=(1, 2))
            elif row.kind == "dropout":
                x = nn.Dropout(self.dropout, deterministic=not train)(x)
            else:
                x = linear(self.num_classes, options, name=row.name)(x).astype(jnp.float32)
                outputs["logits"] = x
            self.sow("intermediates", f"{row.name}_output", x)
            head = AUXILIARY_HEADS.get(row.name)
            if head and self.aux_heads and (train or all_heads or self.is_initializing()):
                auxiliary = AuxiliaryClassifier(self.num_classes, self.aux_dropout, options, name=head)
                outputs[head] = auxiliary(x, train=train)
        return outputs


def max_pool(row: PaperRow, x: jax.Array) -> jax.Array:
    """The table's pooling, rounding its output size up as the table does."""
    padding = ops.pooling.ceil_mode_padding((x.shape[1], x.shape[2]), row.patch, row.stride)
    return ops.max_pool(x, row.patch, row.stride, padding)
