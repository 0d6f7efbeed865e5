"""Figures of panels: a picture of one, and a contact sheet of all.

Every panel has a cell: its title, a square for its axes and their labels, and its caption. A line of cells is
as high as its longest caption needs. All texts are measured, since class names can be of any width.
"""

import itertools
from collections.abc import Sequence

from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from matplotlib.text import Text
from matplotlib.transforms import Bbox

from flax_googlenet.inspection.panels import Panel
from flax_googlenet.pictures import without_glyph_warnings

_COLUMNS = 5  # of a contact sheet
_TITLE, _CAPTION = 10, 7  # font sizes in points
_TITLE_HEIGHT, _GAP, _MARGIN = 0.26, 0.08, 0.12  # in inches
_LABEL = 0.45  # largest length of a tick's label, as a share of the square


def draw_panel(panel: Panel) -> Figure:
    """Draw one panel.

    Args:
      panel: the panel.
    """
    return _draw([[panel]], side=4.0, dpi=120)


def draw_contact_sheet(rows: Sequence[Sequence[Panel]]) -> Figure:
    """Draw many panels.

    Args:
      rows: the panels of the network, and those of each image. Each begins on a new line.
    """
    lines = [row[start : start + _COLUMNS] for row in rows for start in range(0, len(row), _COLUMNS)]
    return _draw(lines, side=2.6, dpi=90)


@without_glyph_warnings()
def _draw(lines: Sequence[Sequence[Panel]], side: float, dpi: int) -> Figure:
    """Draw lines of panels, each in a square of `side` inches with a title above and a caption below."""
    figure = Figure(dpi=dpi)
    canvas = FigureCanvasAgg(figure)
    texts = [
        [
            (
                figure.text(0, 0, panel.title, fontsize=_TITLE, va="bottom", parse_math=False),
                figure.text(0, 0, panel.caption, fontsize=_CAPTION, va="top", parse_math=False),
            )
            for panel in line
        ]
        for line in lines
    ]
    for title, caption in itertools.chain(*texts):
        _shorten(title, side * dpi)
        _wrap(caption, side * dpi)
    captions = [max(caption.get_window_extent().height for _, caption in pairs) / dpi for pairs in texts]
    heights = [_TITLE_HEIGHT + side + _GAP + height + 2 * _MARGIN for height in captions]
    width, height = (side + 2 * _MARGIN) * max(map(len, lines)), sum(heights)
    figure.set_size_inches(width, height)
    canvas.get_renderer()  # measures on the canvas of this size from now on

    top = height
    for line, pairs, height_of_line in zip(lines, texts, heights, strict=True):
        for column, (panel, (title, caption)) in enumerate(zip(line, pairs, strict=True)):
            left = _MARGIN + column * (side + 2 * _MARGIN)
            bottom = top - _MARGIN - _TITLE_HEIGHT - side
            title.set_position((left / width, (bottom + side + _GAP) / height))
            caption.set_position((left / width, (bottom - _GAP) / height))
            axes = figure.add_axes((left / width, bottom / height, side / width, side / height), anchor="N")
            panel.draw(axes)
            _fit_labels(axes, side * dpi * _LABEL)
        top -= height_of_line
    return figure


def _length(text: Text, content: str) -> float:
    """Return the length in pixels of one line of text with this content, which may be written upwards."""
    text.set_text(content)
    box = text.get_window_extent()
    return max(box.width, box.height)


def _shorten(text: Text, length: float) -> None:
    """Cut the end of a text off if it is longer than a number of pixels."""
    content = text.get_text()
    kept = len(content)
    while _length(text, content if kept == len(content) else f"{content[:kept].rstrip()} …") > length:
        kept -= 1


def _wrap(text: Text, length: float) -> None:
    """Break a text into lines of at most a number of pixels."""
    lines: list[str] = []
    for word in text.get_text().split():
        longer = f"{lines[-1]} {word}" if lines else word
        if lines and _length(text, longer) <= length:
            lines[-1] = longer
        else:
            lines.append(word)
    text.set_text("\n".join(lines))


def _fit_labels(axes: Axes, length: float) -> None:
    """Shorten the labels of ticks to a number of pixels, and shrink the axes to have room for them."""
    for axis in (axes.xaxis, axes.yaxis):
        labels = axis.get_ticklabels()
        for label in labels:
            _shorten(label, length)
        axis.set_ticks(axis.get_ticklocs(), [label.get_text() for label in labels], parse_math=False)
    place = axes.get_position(original=True).transformed(axes.figure.transFigure)
    box = axes.get_tightbbox() or place  # none if nothing is drawn
    fitted = Bbox.from_extents(
        place.x0 + max(place.x0 - box.x0, 0),
        place.y0 + max(place.y0 - box.y0, 0),
        place.x1 - max(box.x1 - place.x1, 0),
        place.y1 - max(box.y1 - place.y1, 0),
    )
    axes.set_position(fitted.transformed(axes.figure.transFigure.inverted()))
