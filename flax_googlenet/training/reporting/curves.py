"""A picture of a run, from its records."""

import pathlib
from collections.abc import Mapping, Sequence
from typing import Any

from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from ml_collections import FrozenConfigDict

CURVES_FILE = "curves.png"


def draw_curves(records: Sequence[Mapping[str, float]], title: str) -> Figure:
    """Loss of each head, accuracy and learning rate by step.

    The training loss is that of the targets that were trained on; where those are smoothed
    the label says so, and the main head's to targets that are not, which is what
    validation measures, is drawn too.

    Args:
      records: of metrics.jsonl, or the `history` of a classifier.
      title: of the picture.
    """
    figure = Figure(figsize=(11, 3.6), layout="constrained", dpi=120)
    FigureCanvasAgg(figure)
    losses, accuracy, rate = figure.subplots(1, 3)

    def plot(axes, name: str, label: str, **style) -> None:
        points = _points(records, name)
        if points:
            marker = "o" if len(points) == 1 else style.pop("marker", None)  # a line of one point is nothing
            axes.plot(
                *zip(*points, strict=True), **{"marker": marker, "markersize": 3, "label": label, **style}
            )

    smoothed = any("train/cross_entropy" in each for each in records)
    heads = sorted({key for each in records for key in each if key.startswith("train/loss_")}, reverse=True)
    for name in heads:
        label = "train, " + name.removeprefix("train/loss_").replace("logits", "main head")
        plot(losses, name, label + (" (smoothed targets)" if smoothed else ""), linewidth=1)
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
    """What the picture of a complete run says above it.

    Args:
      config: of the run.
      result: with "top1" and "step", as `train` returns it.
    """
    run = f"{config.model.variant} on {config.data.source}"
    return f"{run}: top-1 {result['top1']:.4f} after {result['step']} steps"


def accuracy_limits(records: Sequence[Mapping[str, float]]) -> tuple[float, float]:
    """Range of the accuracy's axis: that of the run's later half, so that 0.91 and 0.98 lie far apart.

    Curves that begin lower come in from below. At least 0.02 is shown, so that noise stays small.

    >>> accuracy_limits([{"step": 1, "val/top1": 0.1}, {"step": 2, "val/top1": 0.5, "val/top5": 0.9}])
    (0.46, 0.94)
    """
    last = max((each["step"] for each in records), default=0)
    names = ("train/top1", "val/top1", "val/top5")
    values = [value for name in names for step, value in _points(records, name) if step > last / 2]
    if not values:
        return 0.0, 1.0
    low, high = min(values), max(values)
    middle, half = (low + high) / 2, max((high - low) / 2 * 1.2, 0.01)
    return round(max(middle - half, 0.0), 4), round(min(middle + half, 1 + half / 10), 4)


def _points(records: Sequence[Mapping[str, float]], name: str) -> list[tuple[float, float]]:
    return [(each["step"], each[name]) for each in records if name in each]


def save_curves(workdir: pathlib.Path, records: Sequence[Mapping[str, float]], title: str) -> pathlib.Path:
    """Draw the curves to `workdir/curves.png`."""
    path = workdir / CURVES_FILE
    draw_curves(records, title).savefig(path)
    return path
