"""The table of a network, measured on the module and compared with the paper's figures."""

import dataclasses
import math
import re
from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
from flax import linen as nn

from flax_googlenet.models import Network
from flax_googlenet.models.convolution import Convolution
from flax_googlenet.models.inception import Inception
from flax_googlenet.table import PaperRow, RowKind

PAPER_IMAGE_SIZE = 224
_DISAGREEMENT = (
    "≠ marks a figure that the paper's own filters do not give. Its K is 1024 and leaves out biases; "
    "its M is 10^6."
)
_FILTERS = ("conv1x1", "reduce3x3", "conv3x3", "reduce5x5", "conv5x5", "pool_proj")
_FILTER_COLUMNS = ("#1x1", "#3x3", "#5x5", "pool")  # a cell 96→128 is a reduction to 96, then 128 filters
_LEGEND = "M is 10^6 multiply-adds; 96→128 is a 1x1 reduction to 96 filters before 128."


@dataclasses.dataclass(frozen=True)
class Layer:
    """A convolution or linear layer, as measured.

    Attributes:
      path: path of the module, e.g. ("inception_3a", "conv3x3").
      kernel: shape of its weights.
      multiply_adds: multiply-adds per image.
      activations: output values per image.
    """

    path: tuple[str, ...]
    kernel: tuple[int, ...]
    multiply_adds: int
    activations: int


@dataclasses.dataclass(frozen=True)
class Row:
    """A row of the table, as measured.

    Attributes:
      name: name of the row, or of the auxiliary head.
      patch: window and step, such as "7x7/2"; empty for rows without them.
      output: height, width and channels, or only channels.
      depth: number of layers with weights on the longest path.
      filters: number of filters by column; 0 for a layer that is missing.
      params: number of parameters, including biases and normalization.
      weights: number of weights of convolutions and linear layers, which the paper counts.
      multiply_adds: multiply-adds per image.
      activations: number of output values of convolutions, poolings and linear layers per image.
        Concatenations and ReLUs are not counted.
      kind: kind of the row's layers; None for an auxiliary head.
      paper: the paper's row; None if the image size is not the paper's.
    """

    name: str
    patch: str
    output: tuple[int, ...]
    depth: int
    filters: tuple[int, ...]
    params: int
    weights: int
    multiply_adds: int
    activations: int
    kind: RowKind | None = None
    paper: PaperRow | None = None

    @property
    def params_disagree(self) -> bool:
        """Whether the paper's number of parameters differs from that of its own filters.

        The paper's K is 1024, and it leaves out biases: the 163,328 weights of 3a are 159K.
        """
        return self._paper_has("params") and abs(self.weights / 1024 - self._paper("params", "K")) >= 1

    @property
    def ops_disagree(self) -> bool:
        """Whether the paper's number of operations differs from that of its own filters."""
        return self._paper_has("ops") and abs(self.multiply_adds / 1e6 - self._paper("ops", "M")) >= 1

    @property
    def output_disagrees(self) -> bool:
        """Whether the size of the output differs from the paper's."""
        return self.paper is not None and self.output != self.paper.output[-len(self.output) :]

    @property
    def depth_disagrees(self) -> bool:
        """Whether the depth differs from the paper's."""
        return self.paper is not None and self.depth != self.paper.depth

    def _paper_has(self, column: str) -> bool:
        return self.paper is not None and bool(getattr(self.paper, column))  # empty in VGG's rows

    def _paper(self, column: str, unit: str) -> float:
        return float(getattr(self.paper, column).removesuffix(unit))


@dataclasses.dataclass(frozen=True)
class Summary:
    """The table of a network.

    Attributes:
      rows: the rows of the network without its auxiliary heads.
      auxiliary: a row for each auxiliary head.
      image_size: side of the images in pixels.
    """

    rows: tuple[Row, ...]
    auxiliary: tuple[Row, ...]
    image_size: int

    @property
    def params(self) -> int:
        """Number of parameters at inference."""
        return sum(row.params for row in self.rows)

    @property
    def params_with_aux(self) -> int:
        """Number of parameters in training."""
        return self.params + sum(row.params for row in self.auxiliary)

    @property
    def multiply_adds(self) -> int:
        """Multiply-adds per image at inference, of convolutions and linear layers."""
        return sum(row.multiply_adds for row in self.rows)

    @property
    def activation_bytes(self) -> int:
        """Memory of the activations per image at inference, if all are kept as float32."""
        return 4 * sum(row.activations for row in self.rows)

    def to_markdown(self) -> str:
        """Return the table as Markdown, aligned for a terminal of 120 columns."""
        has_paper = any(row.paper and row.paper.params for row in self.rows)
        has_filters = any(any(row.filters) for row in self.rows)
        head = ["layer", "patch", "output", "depth", *(_FILTER_COLUMNS if has_filters else ())]
        total = ["total", "", "", str(sum(row.depth for row in self.rows)), *[""] * (len(head) - 4)]
        head += ["params", "paper", "mul-adds", "paper"] if has_paper else ["params", "mul-adds"]
        body = [_cells(row, has_filters, has_paper) for row in (*self.rows, *self.auxiliary)]
        total += _figures(self.params, self.multiply_adds, ("", "") if has_paper else ())
        lines = [*_table([head, *body, total]), ""]
        if self.auxiliary:
            lines += [
                f"With the auxiliary heads, which run in training only: {self.params_with_aux:,} parameters.",
                "",
            ]
        lines += [_LEGEND if has_filters else _LEGEND.partition(";")[0] + ".", ""]
        if any(row.params_disagree or row.ops_disagree for row in self.rows):
            lines += [_DISAGREEMENT, ""]
        return "\n".join(lines)


def summarize(model: Network, image_size: int) -> Summary:
    """Measure a network without running it.

    Args:
      model: the network.
      image_size: side of the images in pixels.
    """
    layers: list[Layer] = []
    pooled_values: dict[str, int] = {}  # Inception module -> output values of its pooling

    def record(
        next_method: Callable[..., Any], args: Any, kwargs: Any, context: nn.module.InterceptorContext
    ) -> Any:
        result = next_method(*args, **kwargs)
        if isinstance(context.module, Convolution | nn.Dense) and context.method_name == "__call__":
            inputs, outputs = args[0].shape, result.shape
            is_convolution = isinstance(context.module, Convolution)
            window = (context.module.kernel_size,) * 2 if is_convolution else ()
            kernel = (*window, inputs[-1], outputs[-1])
            cost = math.prod(kernel) * math.prod(outputs[1:-1])
            layers.append(Layer(context.module.path, kernel, cost, math.prod(outputs[1:])))
        if isinstance(context.module, Inception) and context.method_name == "__call__":
            pooled_values[context.module.path[-1]] = math.prod(args[0].shape[1:])
        return result

    images = jax.ShapeDtypeStruct((1, image_size, image_size, 3), jnp.float32)
    with nn.intercept_methods(record):
        variables = jax.eval_shape(lambda x: model.init(jax.random.key(0), x, mutable=True), images)
    outputs = {
        path[-1].removesuffix("_output"): leaf.shape[1:] for path, leaf in _leaves(variables["intermediates"])
    }
    rows = []
    for paper in model.rows:
        patch = f"{paper.patch}x{paper.patch}/{paper.stride}" if paper.patch else ""
        if paper.kind is RowKind.AVERAGE_POOL:
            height, width = outputs["inception_5b"][:2]
            patch = f"{height}x{width}/1"
        output = outputs[paper.name]
        is_pooling = paper.kind in (RowKind.MAX_POOL, RowKind.AVERAGE_POOL)
        pooled = math.prod(output) if is_pooling else pooled_values.get(paper.name, 0)
        row = _measure(paper.name, paper.kind, patch, output, layers, variables["params"], pooled)
        rows.append(dataclasses.replace(row, paper=paper if image_size == PAPER_IMAGE_SIZE else None))
    auxiliary = [
        _measure(name, None, "", (model.num_classes,), layers, variables["params"])
        for name in model.head_names
        if name != "logits"
    ]
    return Summary(tuple(rows), tuple(auxiliary), image_size)


def compare(first: tuple[str, Summary], second: tuple[str, Summary]) -> str:
    """Return the parameters, multiply-adds and activations of two networks as a Markdown table.

    Args:
      first, second: name and summary of each network.
    """
    integer, mebibytes = "{:,}".format, lambda value: f"{value / 2**20:.1f} MiB"
    rows = [["", first[0], second[0], "ratio"]]
    for figure, name, cell in (
        ("params", "parameters", integer),
        ("multiply_adds", "multiply-adds per image", integer),
        ("activation_bytes", "activations per image, float32", mebibytes),
    ):
        left, right = getattr(first[1], figure), getattr(second[1], figure)
        ratio = f"1/{right / left:.1f}" if left <= right else f"{left / right:.1f}"
        rows.append([name, cell(left), cell(right), ratio])
    return "\n".join(_table(rows))


def _row_name(path: tuple[str, ...]) -> str:
    return path[1].removesuffix("_reduce") if path[0] == "stem" else path[0]


def _measure(
    name: str,
    kind: RowKind | None,
    patch: str,
    output: tuple[int, ...],
    layers: list[Layer],
    params: Any,
    pooled: int = 0,
) -> Row:
    layers = [layer for layer in layers if _row_name(layer.path) == name]
    features = {layer.path[1] if len(layer.path) > 1 else "": layer.kernel[-1] for layer in layers}
    if kind is RowKind.CONVOLUTION:
        reduction = features.get(f"{name}_reduce", 0)
        features = {"reduce3x3": reduction, "conv3x3": features[name]} if reduction else {}
    # The layers of a branch are applied in sequence, so reduce3x3 and conv3x3 have a depth of 2.
    is_module = kind is RowKind.INCEPTION
    branches = [re.sub(r"conv|reduce", "", layer.path[1]) if is_module else "" for layer in layers]
    return Row(
        name=name,
        patch=patch,
        output=tuple(output),
        depth=max((branches.count(branch) for branch in branches), default=0),
        filters=tuple(features.get(column, 0) for column in _FILTERS),
        params=sum(leaf.size for path, leaf in _leaves(params) if _row_name(path) == name),
        weights=sum(math.prod(layer.kernel) for layer in layers),
        multiply_adds=sum(layer.multiply_adds for layer in layers),
        activations=pooled + sum(layer.activations for layer in layers),
        kind=kind,
    )


def _leaves(tree: Any) -> list[tuple[tuple[str, ...], Any]]:
    return [
        (tuple(part.key for part in path if hasattr(part, "key")), leaf)
        for path, leaf in jax.tree_util.tree_flatten_with_path(tree)[0]
    ]


def _cells(row: Row, has_filters: bool, has_paper: bool) -> list[str]:
    filters: list[str] = []
    if has_filters:
        conv1x1, *branches, pool = (str(number) if number else "" for number in row.filters)
        pairs = zip(branches[::2], branches[1::2], strict=True)
        filters = [conv1x1, *(f"{reduce}→{number}" if reduce else number for reduce, number in pairs), pool]
    paper: tuple[str, ...] = ()
    if has_paper:
        params, ops = (row.paper.params, row.paper.ops) if row.paper else ("", "")
        paper = (params + "≠" * row.params_disagree, ops + "≠" * row.ops_disagree)
    return [
        row.name,
        row.patch,
        "x".join(map(str, row.output)) + "≠" * row.output_disagrees,
        str(row.depth) + "≠" * row.depth_disagrees,
        *filters,
        *_figures(row.params, row.multiply_adds, paper),
    ]


def _figures(params: int, multiply_adds: int, paper: tuple[str, ...]) -> list[str]:
    """Return the cells of parameters and multiply-adds, each followed by the paper's if there is one."""
    measured = (f"{params:,}" if params else "", f"{multiply_adds / 1e6:,.1f}M" if multiply_adds else "")
    return [cell for pair in zip(measured, paper, strict=True) for cell in pair] if paper else list(measured)


def _table(rows: list[list[str]]) -> list[str]:
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]

    def line(cells: list[str]) -> str:
        first, *others = cells
        aligned = [
            first.ljust(widths[0]),
            *(cell.rjust(width) for cell, width in zip(others, widths[1:], strict=True)),
        ]
        return "| " + " | ".join(aligned) + " |"

    rule = ["-" * (widths[0] + 2), *("-" * (width + 1) + ":" for width in widths[1:])]
    return [line(rows[0]), f"|{'|'.join(rule)}|", *map(line, rows[1:])]
