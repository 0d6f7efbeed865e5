"""The curves of a run, drawn from its records."""

import os
from collections.abc import Mapping, Sequence
from typing import Any

from etils import epath
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from ml_collections import FrozenConfigDict

CURVES_FILE = "curves.png"

Records = Sequence[Mapping[str, int | float]]


def draw_curves(records: Records, title: str) -> Figure:
    """Draw the loss of each head, the accuracy and the learning rate by step.

    If the training targets are smoothed, the labels of the training losses say so, and the main
    head's unsmoothed loss is drawn too, for comparison with the validation loss.

    Args:
      records: records of metrics.jsonl, or the `history` of a classifier.
      title: title of the figure.
    """
    figure = Figure(figsize=(11, 3.6), layout="constrained", dpi=120)
    FigureCanvasAgg(figure)
    losses, accuracy, rate = figure.subplots(1, 3)

    def plot(axes, name: str, label: str, **style) -> None:
        points = _points(records, name)
        if points:
            # A line through a single point is invisible.
            marker = "o" if len(points) == 1 else style.pop("marker", None)
            axes.plot(
                *zip(*points, strict=True), **{"marker": marker, "markersize": 3, "label": label, **style}
            )

    is_smoothed = any("train/cross_entropy" in record for record in records)
    names = {name for record in records for name in record if name.startswith("train/loss_")}
    for name in sorted(names, reverse=True):
        label = "train, " + name.removeprefix("train/loss_").replace("logits", "main head")
        plot(losses, name, label + (" (smoothed targets)" if is_smoothed else ""), linewidth=1)
    plot(losses, "train/cross_entropy", "train, main head", color="tab:blue", linewidth=1, linestyle="--")
    plot(losses, "val/loss", "val, main head", color="black", marker="o")
    losses.set(title="cross-entropy (nats)", ylim=(0, None))
    plot(accuracy, "train/top1", "train, top-1", color="tab:blue", linewidth=1)
    plot(accuracy, "val/top1", "val, top-1", color="black", marker="o")
    plot(accuracy, "val/top5", "val, top-5", color="gray", marker="o")
    accuracy.set(title="accuracy", ylim=accuracy_limits(records))
    plot(rate, "train/learning_rate", "learning rate", color="tab:green")
    rate.set(title="learning rate", ylim=(0, None))
    for axes in (losses, accuracy, rate):
        axes.set_xlabel("step")
        axes.grid(alpha=0.3)
        if axes.lines and axes is not rate:
            axes.legend(fontsize="small")
    figure.suptitle(title)
    return figure


def title_of(config: FrozenConfigDict, result: Mapping[str, Any]) -> str:
    """Return the title for the curves of a complete run.

    Args:
      config: the run's resolved config.
      result: the result of `train`, with "top1" and "step".
    """
    run = f"{config.model.variant} on {config.data.source}"
    return f"{run}: top-1 {result['top1']:.4f} after {result['step']} steps"


def accuracy_limits(records: Records) -> tuple[float, float]:
    """Return the limits of the accuracy axis.

    They are those of the second half of the run, so that 0.91 and 0.98 are far apart; the first half
    may lie below the axis. The axis covers at least 0.02, so that noise looks small.

    >>> accuracy_limits([{"step": 1, "val/top1": 0.1}, {"step": 2, "val/top1": 0.5, "val/top5": 0.9}])
    (0.46, 0.94)
    """
    last = max((record["step"] for record in records), default=0)
    names = ("train/top1", "val/top1", "val/top5")
    values = [value for name in names for step, value in _points(records, name) if step > last / 2]
    if not values:
        return 0.0, 1.0
    low, high = min(values), max(values)
    middle, half = (low + high) / 2, max((high - low) / 2 * 1.2, 0.01)
    return round(max(middle - half, 0.0), 4), round(min(middle + half, 1 + half / 10), 4)


def _points(records: Records, name: str) -> list[tuple[int | float, int | float]]:
    return [(record["step"], record[name]) for record in records if name in record]


def save_curves(workdir: str | os.PathLike, records: Records, title: str) -> epath.Path:
    """Draw the curves to `workdir/curves.png` and return the path."""
    path = epath.Path(workdir) / CURVES_FILE
    with path.open("wb") as file:
        draw_curves(records, title).savefig(file, format="png")
    return path
