"""Draw docs/initialization.png, which shows when the main head left chance, with a point for each seed.

python -m docs.initialization
"""

import json
import pathlib
from collections.abc import Mapping
from typing import Any

from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure

from benchmarks.tables import RESULTS
from studies.initialization.table import MAIN


def draw(result: Mapping[str, Any]) -> Figure:
    """Draw a line of points per row; seeds that did not leave chance are crosses at the right edge."""
    rows, budget = result["rows"], result["setting"]["steps"]
    figure = Figure(figsize=(9, 1 + 0.22 * len(rows)), layout="constrained", dpi=120)
    FigureCanvasAgg(figure)
    axes = figure.subplots()
    axes.set(xlabel="step at which the main head left chance", xlim=(0, 1.06 * budget))
    axes.set_yticks(range(len(rows)), list(rows))
    axes.invert_yaxis()
    axes.grid(axis="x", alpha=0.3)
    axes.axvline(budget, color="gray", linewidth=0.8)
    for place, row in enumerate(rows.values()):
        steps = [seed["left"][MAIN] for seed in row["seeds"].values()]
        left = [step for step in steps if step is not None]
        axes.plot(left, [place] * len(left), "o", color="tab:blue", markersize=4, alpha=0.5)
        if stuck := len(steps) - len(left):
            axes.plot([1.02 * budget], [place], "x", color="tab:red", markersize=6)
            axes.annotate(f" {stuck}", (1.03 * budget, place), va="center", fontsize=8, color="tab:red")
    return figure


if __name__ == "__main__":
    content = json.loads((RESULTS / "initialization.json").read_text(encoding="utf-8"))
    draw(content).savefig(pathlib.Path(__file__).with_suffix(".png"))
