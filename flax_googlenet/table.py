"""The tables of the networks as data, and the sizes of their feature maps.

Table 1 of "Going deeper with convolutions", Szegedy et al., 2014, and configuration D of
"Very deep convolutional networks", Simonyan & Zisserman, 2014. The modules build these rows,
and the config derives the smallest image size from them.
"""

import dataclasses
import enum
import functools
import itertools
from collections.abc import Iterable, Mapping
from typing import Any

MIN_IMAGE_SIZE = 32  # five halvings
FULLY_CONNECTED_UNITS = 1024

# The keys of a config's section `model` that change the rows of Table 1.
ROW_OPTIONS = ("stem_reduce", "reduce3x3", "reduce5x5", "project_pool", "pool4_window", "head")


class RowKind(enum.Enum):
    """The kind of layer that a row of a table builds."""

    CONVOLUTION = "convolution"
    MAX_POOL = "max pool"
    INCEPTION = "inception"
    AVERAGE_POOL = "avg pool"
    FULLY_CONNECTED = "fully connected"
    DROPOUT = "dropout"
    LINEAR = "linear"


@dataclasses.dataclass(frozen=True)
class PaperRow:
    """A row of Table 1: the layers that it builds, and the figures that the paper prints at 224x224.

    Attributes:
      name: name of the row in this project.
      kind: kind of its layers.
      patch, stride: window and step of a convolution or pooling; 0 for other rows.
      output: height, width and channels, as printed.
      depth: number of layers with parameters, as printed.
      filters: number of filters of each layer: the columns "#1x1" to "pool proj" for an Inception
        module; the reduction and the 3x3 for the stem's second convolution. 0 leaves a layer out.
      params, ops: as printed, e.g. "159K" and "128M"; empty if the paper has none.
    """

    name: str
    kind: RowKind
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
    return PaperRow(
        f"inception_{name}", RowKind.INCEPTION, 0, 1, (size, size, depth), 2, filters, params, cost
    )


def _max_pool(name: str, size: int, depth: int) -> PaperRow:
    return PaperRow(name, RowKind.MAX_POOL, 3, 2, (size, size, depth), 0)


class Table(tuple[PaperRow, ...]):
    """The rows of a network, with a short `repr`, which appears in those of modules and signatures."""

    def __repr__(self) -> str:
        return f"<table of {len(self)} rows>"


TABLE_1 = Table(
    (
        PaperRow("conv1", RowKind.CONVOLUTION, 7, 2, (112, 112, 64), 1, (64,), "2.7K", "34M"),
        _max_pool("pool1", 56, 64),
        PaperRow("conv2", RowKind.CONVOLUTION, 3, 1, (56, 56, 192), 2, (64, 192), "112K", "360M"),
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
        PaperRow("avg_pool", RowKind.AVERAGE_POOL, 7, 1, (1, 1, 1024), 0),
        PaperRow("dropout", RowKind.DROPOUT, 0, 0, (1, 1, 1024), 0),
        PaperRow("head", RowKind.LINEAR, 0, 0, (1, 1, 1000), 1, (), "1000K", "1M"),
    )
)


def _stage(number: int, depth: int, size: int, features: int) -> tuple[PaperRow, ...]:
    convolutions = tuple(
        PaperRow(f"conv{number}_{i + 1}", RowKind.CONVOLUTION, 3, 1, (size, size, features), 1, (features,))
        for i in range(depth)
    )
    half = size // 2
    return (*convolutions, PaperRow(f"pool{number}", RowKind.MAX_POOL, 2, 2, (half, half, features), 0))


CONFIGURATION_D = Table(
    (
        *_stage(1, 2, 224, 64),
        *_stage(2, 2, 112, 128),
        *_stage(3, 3, 56, 256),
        *_stage(4, 3, 28, 512),
        *_stage(5, 3, 14, 512),
        PaperRow("fc6", RowKind.FULLY_CONNECTED, 0, 0, (1, 1, 4096), 1, (4096,)),
        PaperRow("drop6", RowKind.DROPOUT, 0, 0, (1, 1, 4096), 0),
        PaperRow("fc7", RowKind.FULLY_CONNECTED, 0, 0, (1, 1, 4096), 1, (4096,)),
        PaperRow("drop7", RowKind.DROPOUT, 0, 0, (1, 1, 4096), 0),
        PaperRow("head", RowKind.LINEAR, 0, 0, (1, 1, 1000), 1),
    )
)


def googlenet_rows(table: Iterable[PaperRow], options: Mapping[str, Any]) -> tuple[PaperRow, ...]:
    """Apply the options of a network to the rows of Table 1.

    Args:
      table: rows of Table 1.
      options: values of the keys `ROW_OPTIONS`; other keys are ignored.
    """
    return tuple(_apply_options(row, options) for row in table)


def _apply_options(row: PaperRow, options: Mapping[str, Any]) -> PaperRow:
    if row.name == "pool4":
        return dataclasses.replace(row, patch=options["pool4_window"])
    if row.name == "conv2" and not options["stem_reduce"]:
        return dataclasses.replace(row, filters=(0, row.filters[-1]))
    if row.kind is RowKind.INCEPTION:
        keep = (True, options["reduce3x3"], True, options["reduce5x5"], True, options["project_pool"])
        filters = tuple(count * is_kept for count, is_kept in zip(row.filters, keep, strict=True))
        return dataclasses.replace(row, filters=filters)
    if row.kind is RowKind.AVERAGE_POOL and options["head"] == "fully_connected":
        units = FULLY_CONNECTED_UNITS
        return PaperRow("fc", RowKind.FULLY_CONNECTED, 0, 0, (1, 1, units), 1, (units,))
    return row


def output_side(row: PaperRow, side: int, pool_rounding: str) -> int:
    """Return the side of a row's output map; 0 if not even one pooling window fits.

    >>> [output_side(TABLE_1[1], 112, rounding) for rounding in ("ceil", "floor")]
    [56, 55]
    """
    if row.kind is RowKind.CONVOLUTION:
        return -(-side // row.stride)  # both paddings of `LayerOptions` give this
    if row.kind is not RowKind.MAX_POOL:
        return side
    beyond_first = side - row.patch
    if pool_rounding == "ceil":
        return max(-(-beyond_first // row.stride), 0) + 1
    return max(beyond_first // row.stride + 1, 0)


def least_image_size(rows: Iterable[PaperRow], pool_rounding: str) -> int:
    """Return the side of the smallest images whose last map is not empty.

    >>> least_image_size(TABLE_1, "ceil"), least_image_size(TABLE_1, "floor")
    (32, 61)
    """
    rows = tuple(rows)

    def last_side(size: int) -> int:
        return functools.reduce(lambda side, row: output_side(row, side, pool_rounding), rows, size)

    return next(size for size in itertools.count(MIN_IMAGE_SIZE) if last_side(size))
