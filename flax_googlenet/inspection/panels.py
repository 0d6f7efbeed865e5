"""Panels: what the arrays of an inspection look like, each with a caption that says what one sees."""

import dataclasses
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import cv2
import numpy as np
from jaxtyping import Float, UInt8
from matplotlib.axes import Axes

from flax_googlenet.inspection.activations import Maps
from flax_googlenet.inspection.dreams import Dream
from flax_googlenet.inspection.neighbors import Neighbor
from flax_googlenet.inspection.scores import TINY
from flax_googlenet.pictures import caption as printable

Pixels = UInt8[np.ndarray, "height width 3"]
Map = Float[np.ndarray, "rows columns"]
Probabilities = Float[np.ndarray, " classes"]

# Colors end at this percentile of a map, since a few pixels are many times stronger than the rest.
_PERCENTILE = 99.5
_TILE, _GAP = 28, 2


@dataclasses.dataclass(frozen=True)
class Panel:
    """A picture on one pair of axes.

    Attributes:
      name: the name of its file without suffix.
      title: one line.
      caption: what one sees.
      draw: draws it.
    """

    name: str
    title: str
    caption: str
    draw: Callable[[Axes], None]


def image_panel(pixels: Pixels, probabilities: Probabilities, names: Sequence[str]) -> Panel:
    """Show an image as the network gets it, and what it takes it for."""
    order = np.argsort(-probabilities, kind="stable")[:3]
    listed = ", ".join(f"{printable(names[label])} ({probabilities[label]:.0%})" for label in order)
    height, width = pixels.shape[:2]
    caption = f"The image as the network gets it, {width}x{height} pixels, and its most probable classes."
    return Panel("image", listed, caption, lambda axes: _show(axes, pixels))


def heads_panel(heads: Mapping[str, Probabilities], names: Sequence[str], count: int = 5) -> Panel:
    """Show the opinions of the auxiliary heads beside that of the main one, in the order of the network.

    Args:
      heads: probabilities by head.
      names: names of the classes.
      count: number of classes, those to which any head gives the most.
    """
    ordered = {"main head" if head == "logits" else head: heads[head] for head in sorted(heads)}
    best = np.argsort(-np.max(list(heads.values()), axis=0), kind="stable")[:count]
    opinions = [
        f"{head}: {printable(names[int(row.argmax())])} ({row.max():.0%})" for head, row in ordered.items()
    ]

    def draw(axes: Axes) -> None:
        height = 0.8 / len(ordered)
        for number, (head, row) in enumerate(ordered.items()):
            places = np.arange(len(best)) + (number - (len(ordered) - 1) / 2) * height
            axes.barh(places, row[best], height, label=head)
        captions = [printable(names[label]) for label in best]
        axes.set_yticks(range(len(best)), captions, fontsize="x-small", parse_math=False)
        axes.set_xticks((0, 0.5, 1), ("0", "0.5", "1"), fontsize="x-small")
        axes.set(xlim=(0, 1))
        axes.invert_yaxis()
        axes.legend(fontsize="x-small", loc="lower right")

    caption = f"Probabilities by each head, from the lowest to the last. {'; '.join(opinions)}."
    return Panel("heads", "Heads", caption, draw)


def filters_panel(filters: Float[np.ndarray, "filters height width 3"]) -> Panel:
    """Show the filters that read the image."""
    count, height, width, _ = filters.shape
    scale = np.abs(filters).max(axis=(1, 2, 3), keepdims=True)
    colors = 0.5 + filters / np.maximum(2 * scale, TINY)
    tiles = montage(colors, columns=-(-count // max(int(count**0.5), 1)), gap=1)
    caption = (
        f"The {count} filters of {width}x{height} pixels that read the image, each scaled by its largest "
        "weight, so that gray is 0. Training turns noise into edges and patches of color."
    )
    return Panel("filters", "First layer", caption, lambda axes: _show(axes, tiles))


def branches_panel(maps: Mapping[str, Mapping[str, Maps]]) -> Panel:
    """Show the mean map and the strongest channel of every branch of every module."""
    tiles = [
        _tile(shown)
        for branches in maps.values()
        for channels in branches.values()
        for shown in (channels.mean(axis=-1), channels[..., channels.mean(axis=(0, 1)).argmax()])
    ]
    branches = list(next(iter(maps.values())))
    columns = 2 * len(branches)
    rows = [name.removeprefix("inception_") for name in maps]

    def draw(axes: Axes) -> None:
        grid = montage(np.stack(tiles)[..., None], columns, _GAP, fill=np.nan)  # not drawn
        axes.imshow(grid[..., 0], cmap="magma", vmin=0, vmax=1)
        step = _TILE + _GAP
        axes.set_xticks((np.arange(len(branches)) * 2 + 1) * step, branches, fontsize="small")
        axes.set_yticks((np.arange(len(rows)) + 0.5) * step, rows, fontsize="small")
        axes.tick_params(length=0)

    caption = (
        "Feature maps of the Inception modules (rows) by branch (columns): on the left of each pair the mean "
        "over the channels, on the right the channel with the largest mean. Bright is active; each map is "
        "scaled by its own maximum."
    )
    return Panel("activations", "Activations", caption, draw)


def grad_cam_panel(pixels: Pixels, evidence: Map, layer: str, name: str) -> Panel:
    """Show a map of Grad-CAM over the image."""
    rows, columns = evidence.shape
    name = printable(name)

    def draw(axes: Axes) -> None:
        _show(axes, _gray(pixels))
        height, width = pixels.shape[:2]
        extent = (-0.5, width - 0.5, height - 0.5, -0.5)
        top = max(float(evidence.max()), TINY)
        axes.imshow(
            evidence, cmap="inferno", alpha=0.6, extent=extent, vmin=0, vmax=top, interpolation="bilinear"
        )

    what = f"The {columns}x{rows} map of {layer}, weighted by its gradient. "
    what += (
        f"Bright parts speak for {name}; their center of mass is {place(evidence)}."
        if evidence.max() > 0
        else f"Nothing in it speaks for {name}."
    )
    return Panel("grad_cam", f"Grad-CAM: {name}", what, draw)


def gradient_panel(kind: str, title: str, gradient: Float[np.ndarray, "height width 3"], how: str) -> Panel:
    """Show where a small change of a pixel changes the score most.

    Args:
      kind: name of the panel.
      title: its title.
      gradient: the gradient with respect to the image.
      how: the first sentence of the caption.
    """
    strength = np.abs(gradient).max(axis=-1)
    caption = f"{how} Where a pixel is bright, a small change of it changes the score most."

    def draw(axes: Axes) -> None:
        _show(axes, strength, cmap="gray", vmin=0, vmax=_top(strength))

    return Panel(kind, title, caption, draw)


def signed_panel(kind: str, title: str, evidence: Map, caption: str) -> Panel:
    """Show a map in red where it is positive and in blue where it is negative.

    Args:
      kind: name of the panel.
      title: its title.
      evidence: the map.
      caption: what one sees.
    """

    def draw(axes: Axes) -> None:
        top = _top(np.abs(evidence))
        _show(axes, evidence, cmap="RdBu_r", vmin=-top, vmax=top)

    return Panel(kind, title, caption, draw)


def dream_panel(kind: str, title: str, pixels: Pixels, dream: Dream, what: str) -> Panel:
    """Show a dream.

    Args:
      kind: name of the panel.
      title: its title.
      pixels: the image of the dream.
      dream: how far it got.
      what: what was raised, as the subject of a sentence.
    """
    steps = len(dream.values) - 1
    caption = f"{what} rose in each of {steps} steps, from {dream.values[0]:.3g} to {dream.values[-1]:.3g}."
    if not steps:
        caption = f"{what} could not be raised from {dream.values[0]:.3g}."
    return Panel(kind, title, caption, lambda axes: _show(axes, pixels))


def neighbors_panel(
    neighbors: Sequence[Neighbor], names: Sequence[str], searched: int, available: int
) -> Panel:
    """Show the nearest training images, best first.

    Args:
      neighbors: the nearest images.
      names: names of the classes.
      searched, available: numbers of training images.
    """
    tiles = montage(np.stack([neighbor.image for neighbor in neighbors]) / 255, len(neighbors), gap=_GAP)

    def draw(axes: Axes) -> None:
        axes.imshow(tiles)
        step = tiles.shape[1] / len(neighbors)
        marks = [f"{each.similarity:.2f} {printable(names[each.label])}" for each in neighbors]
        axes.set_xticks(
            (np.arange(len(marks)) + 0.5) * step, marks, fontsize="x-small", rotation=90, parse_math=False
        )
        axes.set_yticks([])
        axes.tick_params(length=0)

    among = f"all {available:,}" if searched == available else f"{searched:,} of {available:,}"
    caption = (
        f"The nearest of {among} training images by the features before the last layer, with their classes "
        "and the cosine of the angle between the features."
    )
    return Panel("nearest", "Nearest training images", caption, draw)


def montage(
    images: Float[np.ndarray, "images height width channels"], columns: int, gap: int, fill: float = 1.0
) -> Float[np.ndarray, "total_height total_width channels"]:
    """Return images side by side in rows, with gaps of the value `fill` between them.

    >>> montage(np.zeros((3, 2, 2, 1)), columns=2, gap=1)[..., 0]
    array([[0., 0., 1., 0., 0., 1.],
           [0., 0., 1., 0., 0., 1.],
           [1., 1., 1., 1., 1., 1.],
           [0., 0., 1., 1., 1., 1.],
           [0., 0., 1., 1., 1., 1.],
           [1., 1., 1., 1., 1., 1.]])
    """
    count, height, width, channels = images.shape
    rows = -(-count // columns)
    cells = np.full((rows * columns, height + gap, width + gap, channels), fill, images.dtype)
    cells[:count, :height, :width] = images
    grid = cells.reshape(rows, columns, height + gap, width + gap, channels)
    return grid.swapaxes(1, 2).reshape(rows * (height + gap), columns * (width + gap), channels)


def place(evidence: Map) -> str:
    """Return in words where the center of mass of a map that is not negative lies.

    >>> place(np.ones((3, 3))), place(np.array([[1.0, 0.0, 0.0], [0.0, 0.0, 0.0]]))
    ('in the middle', 'at the top left')
    """
    total = evidence.sum()
    centers = [
        float((evidence.sum(axis=1 - axis) * (np.arange(length) + 0.5)).sum() / total / length)
        for axis, length in enumerate(evidence.shape)
    ]
    words = [
        low if center < 0.4 else high if center > 0.6 else ""
        for center, (low, high) in zip(centers, (("top", "bottom"), ("left", "right")), strict=True)
    ]
    return f"at the {' '.join(filter(None, words))}" if any(words) else "in the middle"


def _show(axes: Axes, array: np.ndarray, **options: Any) -> None:
    axes.imshow(array, **options)
    axes.set_xticks([])
    axes.set_yticks([])


def _gray(pixels: Pixels) -> Pixels:
    return np.repeat(pixels.mean(axis=-1, keepdims=True), 3, axis=-1).astype(np.uint8)


def _top(values: np.ndarray) -> float:
    """Return the value at which the colors of a map end, above 0."""
    return float(np.percentile(values, _PERCENTILE)) or max(float(values.max()), TINY)


def _tile(shown: Map) -> Float[np.ndarray, "tile tile"]:
    scaled = shown / max(float(shown.max()), TINY)
    return cv2.resize(scaled, (_TILE, _TILE), interpolation=cv2.INTER_NEAREST)
