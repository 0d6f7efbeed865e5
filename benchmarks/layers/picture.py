"""The picture of a roofline."""

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.transforms import Bbox

# Panel -> the passes that it shows, with their markers.
PANELS: dict[str, dict[str, str]] = {
    "forward": {"forward": "o"},
    "input gradient": {"input gradient": "o"},
    "kernel gradient, or all gradients (◇)": {"kernel gradient": "o", "backward": "D"},
}
# The colors of Okabe and Ito, which most color-blind people can tell apart, and two more.
COLORS: tuple[str, ...] = (
    "#0072B2",
    "#D55E00",
    "#009E73",
    "#CC79A7",
    "#E69F00",
    "#56B4E9",
    "#000000",
    "#999999",
)
COLORS += ("#882255", "#DDCC33")
LABELS = 7  # at most, in a panel
OFFSETS = ((7, -10), (7, 5), (-7, -12), (-7, 6), (0, -16), (0, 10))  # of a label from its mark, in points


class Mark(NamedTuple):
    """A pass of a layer in the picture."""

    name: str
    kind: str
    marker: str
    figures: Mapping[str, float]

    @property
    def lost(self) -> float:
        """The milliseconds above the roof."""
        return self.figures["ms"] - self.figures["roof_ms"]

    @property
    def position(self) -> tuple[float, float]:
        """Operations per byte, and GFLOP/s."""
        return self.figures["flop_per_byte"], self.figures["gflop_per_second"]


def draw(result: Mapping[str, Any]) -> Figure:
    """Draw the roofline of a result of `python -m benchmarks.layers`, with a mark per layer and pass.

    Whole modules are left out, because their layers are drawn. The passes that lose most time to their
    roofs have labels, where there is room.

    Args:
      result: the result.
    """
    figure = Figure(figsize=(15, 6), layout="constrained", dpi=110)
    FigureCanvasAgg(figure)
    axes_of_panels = figure.subplots(1, len(PANELS), sharex=True, sharey=True)
    rows = [row for row in result["rows"] if row["kind"] != "module"]
    kinds = list(dict.fromkeys(row["kind"] for row in rows))
    colors = {kind: COLORS[number % len(COLORS)] for number, kind in enumerate(kinds)}
    panels = []
    for axes, (title, markers) in zip(axes_of_panels, PANELS.items(), strict=True):
        marks = [
            Mark(row["name"], row["kind"], marker, row["passes"][name])
            for row in rows
            for name, marker in markers.items()
            if name in row["passes"]
        ]
        for mark in marks:
            axes.plot(*mark.position, mark.marker, color=colors[mark.kind], markersize=6, alpha=0.8, mew=0)
        axes.set(xscale="log", yscale="log", title=title, xlabel="operations per byte")
        axes.grid(which="major", alpha=0.3)
        panels.append((axes, marks))
    axes_of_panels[0].set_ylabel("GFLOP/s")
    for axes, _ in panels:
        _draw_roof(axes, result["ceilings"])
    handles = [
        Line2D([], [], marker="o", linestyle="", color=colors[kind], label=kind, mew=0) for kind in kinds
    ]
    figure.legend(handles=handles, loc="outside lower center", ncols=len(kinds), frameon=False)
    figure.suptitle(
        f"{result['variant']}, batch {result['batch_size']}, {result['image_size']} pixels, "
        f"{result['dtype']}, on {result['conditions']['device']}"
    )
    figure.draw_without_rendering()  # the layout is final from here on
    figure.set_layout_engine("none")
    for axes, marks in panels:
        _label(axes, marks)
    return figure


def _draw_roof(axes: Axes, ceilings: Mapping[str, float]) -> None:
    peak, bandwidth = ceilings["gflop_per_second"], ceilings["gb_per_second"]
    left, right = axes.get_xlim()
    intensities = np.array([left, peak / bandwidth, right])
    axes.plot(intensities, np.minimum(peak, bandwidth * intensities), color="black", linewidth=1, zorder=0)
    axes.set_xlim(left, right)
    axes.annotate(
        f"{peak:.0f} GFLOP/s", (right, peak), (-4, 3), textcoords="offset points", ha="right", fontsize=8
    )
    middle = np.sqrt(left * peak / bandwidth)  # of the slope
    axes.annotate(
        f"{bandwidth:.1f} GB/s",
        (middle, bandwidth * middle),
        (-5, 3),
        textcoords="offset points",
        ha="right",
        fontsize=8,
    )


def _label(axes: Axes, marks: Sequence[Mark]) -> None:
    """Name the marks that lose most time, each at the first offset where it covers no mark and no label."""
    occupied = [
        Bbox.from_bounds(x - 4, y - 4, 8, 8)
        for x, y in axes.transData.transform([mark.position for mark in marks])
    ]
    occupied += [text.get_window_extent() for text in axes.texts]  # of the roof
    inside = axes.get_window_extent()
    labels = 0
    for mark in sorted(marks, key=lambda mark: mark.lost, reverse=True):
        for x, y in OFFSETS:
            label = axes.annotate(
                mark.name.removeprefix("inception_"),
                mark.position,
                (x, y),
                textcoords="offset points",
                fontsize=8,
                ha="left" if x > 0 else "right" if x < 0 else "center",
            )
            box = label.get_window_extent()
            if not box.count_overlaps(occupied) and inside.fully_containsx(box.x0) and inside.x1 > box.x1:
                occupied.append(box)
                labels += 1
                break
            label.remove()
        if labels == LABELS:
            return
