"""Files of panels: a picture of each, and a contact sheet of all."""

import textwrap
from collections.abc import Sequence

from etils import epath
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure

from flax_googlenet.inspection.panels import Panel
from flax_googlenet.pictures import save_picture

_COLUMNS = 5  # of a contact sheet


def save_panel(panel: Panel, path: epath.Path) -> None:
    """Write one panel to a file.

    Args:
      panel: the panel.
      path: the file, with the suffix of an image format.
    """
    figure = Figure(figsize=(4.2, 4.8), layout="constrained", dpi=120)
    FigureCanvasAgg(figure)
    _draw(panel, figure.subplots(), width=62)
    save_picture(figure, path)


def save_contact_sheet(rows: Sequence[Sequence[Panel]], path: epath.Path) -> None:
    """Write panels to one file.

    Args:
      rows: the panels of the network, and those of each image. Each begins on a new line.
      path: the file, with the suffix of an image format.
    """
    lines = [row[start : start + _COLUMNS] for row in rows for start in range(0, len(row), _COLUMNS)]
    figure = Figure(figsize=(2.8 * _COLUMNS, 3.5 * len(lines)), layout="constrained", dpi=90)
    FigureCanvasAgg(figure)
    grid = figure.subplots(len(lines), _COLUMNS, squeeze=False)
    for axes_of_line, line in zip(grid, lines, strict=True):
        for number, axes in enumerate(axes_of_line):
            if number < len(line):
                _draw(line[number], axes, width=46)
            else:
                axes.set_axis_off()
    save_picture(figure, path)


def _draw(panel: Panel, axes: Axes, width: int) -> None:
    panel.draw(axes)
    axes.set_title(textwrap.shorten(panel.title, width - 10, placeholder=" …"), fontsize=10, parse_math=False)
    axes.set_xlabel(textwrap.fill(panel.caption, width), fontsize=7, loc="left", parse_math=False)
