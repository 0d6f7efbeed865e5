"""The layers that are measured, read off a network, and the work that each of them is."""

import dataclasses
import enum
import itertools
from collections.abc import Iterator

from flax_googlenet.models import Network
from flax_googlenet.models.summary import Row, summarize
from flax_googlenet.ops.local_response_norm import SIZE as LRN_SIZE
from flax_googlenet.table import PaperRow, RowKind


class Operation(enum.Enum):
    """What a case computes."""

    CONVOLUTION = "convolution"
    MAX_POOL = "max pool"
    LRN = "LRN"
    BATCH_NORM = "batch norm + ReLU"
    INCEPTION = "module"
    AUXILIARY = "auxiliary head"
    AVERAGE_POOL = "average pool"
    LINEAR = "linear"


IMAGE_CHANNELS = 3

# The operations whose forward pass and gradients are one product each. Of the other operations with
# parameters, all gradients are computed together, as in training.
PRODUCTS = (Operation.CONVOLUTION, Operation.LINEAR)
WITHOUT_PARAMETERS = (Operation.MAX_POOL, Operation.LRN, Operation.AVERAGE_POOL)

# Operations of the float32 unit per value of the input: for LRN a square, the multiply-adds of the sum, and
# the scaled power; for batch normalization the two sums, a multiply-add and the maximum. Memory limits both.
LRN_FLOPS = 2 * LRN_SIZE + 4
BATCH_NORM_FLOPS = 6


@dataclasses.dataclass(frozen=True)
class Case:
    """A layer, or a whole module, to measure.

    Attributes:
      row: name of the row in the network's table.
      part: the layer within the row; "" for the row itself.
      operation: what it computes.
      side: height and width of the input map; 1 for a vector.
      channels: channels of the input.
      features: channels of the output.
      flops: operations of the forward pass per image; a multiply-add is two.
      window, stride: of a convolution or pooling; the window of a module is that of its third branch.
      padding: zeros, or minus infinities, before and after each side.
      filters: of a module, as in the network's table.
      batch_norm: whether a module or head normalizes after each convolution.
    """

    row: str
    part: str
    operation: Operation
    side: int
    channels: int
    features: int
    flops: int
    window: int = 1
    stride: int = 1
    padding: tuple[int, int] = (0, 0)
    filters: tuple[int, ...] = ()
    batch_norm: bool = False

    @property
    def name(self) -> str:
        """The row and the part."""
        return f"{self.row} {self.part}".rstrip()

    @property
    def kind(self) -> str:
        """The operation, with the window of a convolution."""
        if self.operation is Operation.CONVOLUTION:
            return f"{self.window}x{self.window} convolution"
        return self.operation.value

    @property
    def is_of_vectors(self) -> bool:
        """Whether the input is a vector instead of a map."""
        return self.operation is Operation.LINEAR

    @property
    def shape(self) -> str:
        """The side and channels of the input, and the channels of the output.

        >>> Case("conv1", "", Operation.CONVOLUTION, 224, 3, 64, 0).shape
        '224² 3→64'
        """
        side = "" if self.is_of_vectors else f"{self.side}² "
        return f"{side}{self.channels}→{self.features}"

    @property
    def passes(self) -> dict[str, tuple[str, ...]]:
        """The passes to measure, with the arguments whose gradients each computes: "inputs" or "params"."""
        if self.operation in WITHOUT_PARAMETERS:
            return {"forward": (), "input gradient": ("inputs",)}
        if self.operation not in PRODUCTS:
            return {"forward": (), "backward": ("inputs", "params")}
        of_images = self.channels == IMAGE_CHANNELS  # training needs no gradient of images
        inputs = {} if of_images else {"input gradient": ("inputs",)}
        return {"forward": (), **inputs, "kernel gradient": ("params",)}

    def pass_flops(self, name: str) -> int:
        """Return the operations of a pass per image; each gradient takes those of the forward pass."""
        return self.flops * max(len(self.passes[name]), 1)


def network_cases(model: Network, image_size: int) -> tuple[Case, ...]:
    """Return the rows of a network and the layers of each, in the order of its table.

    Dropout is left out. A convolution is the product alone; its bias and ReLU are part of the module.

    Args:
      model: the network.
      image_size: side of the images in pixels.
    """
    summary = summarize(model, image_size)
    outputs = [(image_size, image_size, IMAGE_CHANNELS), *(_map_of(row) for row in summary.rows)]
    steps = zip(model.rows, summary.rows, itertools.pairwise(outputs), strict=True)
    heads = {row.name: row for row in summary.auxiliary}
    readers = getattr(model, "auxiliary_heads", {})
    cases: list[Case] = []
    for paper, row, (before, after) in steps:
        cases += _row_cases(model, paper, row, before, after)
        if head := heads.get(readers.get(row.name, "")):
            cases.append(
                Case(
                    head.name,
                    "",
                    Operation.AUXILIARY,
                    after[0],
                    after[2],
                    model.num_classes,
                    2 * head.multiply_adds,
                    batch_norm=model.normalization == "batch",
                )
            )
    return tuple(cases)


def _map_of(row: Row) -> tuple[int, int, int]:
    """Return the height, width and channels of a row's output, 1x1 for a vector."""
    height, width, channels = (1, 1, *row.output)[-3:]
    return height, width, channels


def _row_cases(
    model: Network, paper: PaperRow, row: Row, before: tuple[int, int, int], after: tuple[int, int, int]
) -> Iterator[Case]:
    """Yield the cases of a row, given the maps before and after it."""
    (side, _, channels), (side_after, _, features) = before, after
    match paper.kind:
        case RowKind.CONVOLUTION:
            *reduction, _ = paper.filters
            if any(reduction):
                yield from _convolution(model, row.name, "reduce", side, channels, reduction[0])
                channels = reduction[0]
            yield from _convolution(model, row.name, "", side, channels, features, paper.patch, paper.stride)
            if row.name == "conv2" and model.normalization == "lrn":
                yield _lrn(row.name, side_after, features)
        case RowKind.MAX_POOL:
            end = max((side_after - 1) * paper.stride + paper.patch - side, 0)
            yield _max_pool(row.name, "", side, side_after, channels, paper.patch, paper.stride, (0, end))
            if row.name == "pool1" and model.normalization == "lrn":
                yield _lrn(row.name, side_after, features)
        case RowKind.INCEPTION:
            yield from _inception_cases(model, paper, row, before)
        case RowKind.AVERAGE_POOL:
            flops = side * side * channels
            yield Case(row.name, "", Operation.AVERAGE_POOL, side, channels, features, flops, window=side)
        case RowKind.FULLY_CONNECTED | RowKind.LINEAR:
            inputs = side * side * channels
            yield Case(row.name, "", Operation.LINEAR, 1, inputs, features, 2 * row.multiply_adds)


def _inception_cases(
    model: Network, paper: PaperRow, row: Row, before: tuple[int, int, int]
) -> Iterator[Case]:
    side, _, channels = before
    conv1x1, reduce3x3, conv3x3, reduce5x5, conv5x5, pool_proj = paper.filters
    third = getattr(model, "third_kernel", 5)
    # The three branches that read the input share one product.
    yield from _convolution(model, row.name, "1x1", side, channels, conv1x1 + reduce3x3 + reduce5x5)
    yield from _convolution(model, row.name, "3x3", side, reduce3x3 or channels, conv3x3, 3)
    yield from _convolution(
        model, row.name, f"{third}x{third} branch", side, reduce5x5 or channels, conv5x5, third
    )
    yield _max_pool(row.name, "pool", side, side, channels, 3, 1, (1, 1))
    if pool_proj:
        yield from _convolution(model, row.name, "pool proj", side, channels, pool_proj)
    yield Case(
        row.name,
        "",
        Operation.INCEPTION,
        side,
        channels,
        row.output[-1],
        2 * row.multiply_adds,
        window=third,
        filters=paper.filters,
        batch_norm=model.normalization == "batch",
    )


def _convolution(
    model: Network,
    row: str,
    part: str,
    side: int,
    channels: int,
    features: int,
    window: int = 1,
    stride: int = 1,
) -> Iterator[Case]:
    """Yield a convolution, and the batch normalization after it if the network has one."""
    side_after = -(-side // stride)
    flops = 2 * side_after**2 * window**2 * channels * features
    half = (window // 2, window // 2)
    yield Case(row, part, Operation.CONVOLUTION, side, channels, features, flops, window, stride, half)
    if model.normalization == "batch":
        flops = BATCH_NORM_FLOPS * side_after**2 * features
        part = f"{part} norm".strip()
        yield Case(row, part, Operation.BATCH_NORM, side_after, features, features, flops)


def _max_pool(
    row: str,
    part: str,
    side: int,
    side_after: int,
    channels: int,
    window: int,
    stride: int,
    padding: tuple[int, int],
) -> Case:
    flops = (window**2 - 1) * side_after**2 * channels  # comparisons
    return Case(row, part, Operation.MAX_POOL, side, channels, channels, flops, window, stride, padding)


def _lrn(row: str, side: int, channels: int) -> Case:
    flops = LRN_FLOPS * side**2 * channels
    return Case(row, "LRN", Operation.LRN, side, channels, channels, flops)
