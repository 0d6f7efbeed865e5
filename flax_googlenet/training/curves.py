"""A picture of a run, from its records."""

import pathlib
from collections.abc import Mapping, Sequence

from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure

CURVES_FILE = "curves.png"


def draw_curves(records: Sequence[Mapping[str, float]], title: str) -> Figure:
    """Loss of each head, accuracy and learning rate by step.

    Args:
      records: of metrics.jsonl, or the `history` of a classifier.
      title: of the picture.
    """
    figure = Figure(figsize=(11, 3.6), layout="constrained", dpi=120)
    FigureCanvasAgg(figure)
    losses, accuracy, rate = figure.subplots(1, 3)

    def plot(axes, name: str, label: str, **style) -> None:
        points = [(each["step"], each[name]) for each in records if name in each]
        if points:
            marker = "o" if len(points) == 1 else style.pop("marker", None)  # a line of one point is nothing
            axes.plot(
                *zip(*points, strict=True), **{"marker": marker, "markersize": 3, "label": label, **style}
            )

    heads = sorted({key for each in records for key in each if key.startswith("train/loss_")}, reverse=True)
    for name in heads:
        plot(
            losses,
            name,
            "train, " + name.removeprefix("train/loss_").replace("logits", "main head"),
            linewidth=1,
        )
    plot(losses, "val/loss", "val, main head", color="black", marker="o")
    losses.set(title="cross-entropy (nats)", ylim=(0, None))
    plot(accuracy, "val/top1", "top-1", color="black", marker="o")
    plot(accuracy, "val/top5", "top-5", color="gray", marker="o")
    accuracy.set(title="validation accuracy", ylim=(0, 1.02))
    plot(rate, "train/learning_rate", "learning rate", color="tab:green")
    rate.set(title="learning rate", ylim=(0, None))
    for axes in (losses, accuracy, rate):
        axes.set_xlabel("step")
        axes.grid(alpha=0.3)
        if axes.lines and axes is not rate:
            axes.legend(fontsize="small")
    figure.suptitle(title)
    return figure


def save_curves(workdir: pathlib.Path, records: Sequence[Mapping[str, float]], title: str) -> pathlib.Path:
    """Draw the curves to `workdir/curves.png`."""
    path = workdir / CURVES_FILE
    draw_curves(records, title).savefig(path)
    return path
