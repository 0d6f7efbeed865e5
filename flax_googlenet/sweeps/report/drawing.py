"""The drawing of a network: its rows, with blocks whose sides stand for channels and height."""

import dataclasses
from collections.abc import Sequence

from flax_googlenet.models.summary import Row, Summary
from flax_googlenet.sweeps.report.results import RowResult
from flax_googlenet.table import RowKind

WIDTH, HEIGHT = 150, 30  # of the largest block in pixels

_TIMES = "\N{MULTIPLICATION SIGN}"
_BRANCHES = ("1x1", "3x3", "5x5", "pool")


@dataclasses.dataclass(frozen=True)
class Block:
    """A part of a row's block.

    Attributes:
      x, width, height: in pixels.
      kind: class of its color.
      title: what it stands for.
    """

    x: float
    width: float
    height: float
    kind: str
    title: str


@dataclasses.dataclass(frozen=True)
class DrawnRow:
    """A row of the drawing.

    Attributes:
      name, patch, output, params, multiply_adds: texts of its cells.
      blocks: the parts of its block.
    """

    name: str
    patch: str
    output: str
    params: str
    multiply_adds: str
    blocks: tuple[Block, ...]


@dataclasses.dataclass(frozen=True)
class Drawing:
    """A network that one or more rows of the report have in common.

    Attributes:
      names: names of these rows.
      image_size: side of the images in pixels.
      rows: the rows of the network, auxiliary heads last.
    """

    names: tuple[str, ...]
    image_size: int
    rows: tuple[DrawnRow, ...]


def draw_networks(results: Sequence[RowResult]) -> list[Drawing]:
    """Draw each network of a report once."""
    names: dict[Summary, list[str]] = {}
    for result in results:
        if result.network:
            names.setdefault(result.network, []).append(result.data.name)
    return [_draw(summary, found) for summary, found in names.items()]


def _draw(summary: Summary, names: Sequence[str]) -> Drawing:
    maps = [row.output for row in summary.rows if len(row.output) == 3]
    sides = max((output[0] for output in maps), default=1)
    channels = max(row.output[-1] for row in (*summary.rows, *summary.auxiliary))
    rows = (*summary.rows, *summary.auxiliary)
    drawn = [
        DrawnRow(
            row.name,
            row.patch.replace("x", _TIMES),
            _TIMES.join(map(str, row.output)),
            f"{row.params:,}" if row.params else "",
            f"{row.multiply_adds / 1e6:,.1f}M" if row.multiply_adds else "",
            _blocks(row, sides, channels),
        )
        for row in rows
    ]
    return Drawing(tuple(names), summary.image_size, tuple(drawn))


def _blocks(row: Row, sides: int, channels: int) -> tuple[Block, ...]:
    """Return the branches of an Inception module beside each other, or the whole of another row."""
    side = row.output[0] if len(row.output) == 3 else 1
    height = round(5 + (HEIGHT - 5) * side / sides, 1)
    if row.kind is not RowKind.INCEPTION:
        kind = "head" if row.kind is None else row.kind.value
        width = max(WIDTH * row.output[-1] / channels, 2)
        return (Block(0, round(width, 1), height, kind.replace(" ", "-"), f"{row.output[-1]} channels"),)
    conv1x1, _, conv3x3, _, conv5x5, _ = row.filters
    others = conv1x1 + conv3x3 + conv5x5
    widths = (conv1x1, conv3x3, conv5x5, row.output[-1] - others)
    blocks, x = [], 0.0
    for branch, filters in zip(_BRANCHES, widths, strict=True):
        width = WIDTH * filters / channels
        title = f"{filters} channels of the {branch} branch"
        blocks.append(Block(round(x, 1), round(width, 1), height, f"branch-{branch}", title))
        x += width
    return tuple(blocks)
