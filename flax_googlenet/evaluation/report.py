"""The report of an evaluation: results.json and a picture of the confusion matrix."""

import json
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from etils import epath
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure

from flax_googlenet.paths import make_directory
from flax_googlenet.pictures import caption, save_picture

RESULTS_FILE, CONFUSION_FILE = "results.json", "confusion.png"


def save_report(directory: epath.Path, figures: Mapping[str, Any], class_names: Sequence[str]) -> None:
    """Write results.json and, if there is a confusion matrix, confusion.png.

    Args:
      directory: where to write the files; created if it does not exist.
      figures: figures of a detailed `Evaluator`, and other keys to store with them.
      class_names: names of the classes, in the order of the logits.
    """
    make_directory(directory)
    by_class = [
        {"label": label, "name": name, "accuracy": accuracy, "examples": examples}
        for label, (name, accuracy, examples) in enumerate(
            zip(class_names, figures["class_accuracy"], figures["class_examples"], strict=True)
        )
    ]
    kept = {name: value for name, value in figures.items() if not name.startswith("class_")}
    (directory / RESULTS_FILE).write_text(json.dumps({**kept, "classes": by_class}, indent=1) + "\n")
    if "confusion" in figures:
        save_picture(draw_confusion(figures["confusion"], class_names), directory / CONFUSION_FILE)


def draw_confusion(confusion: Sequence[Sequence[int]], class_names: Sequence[str]) -> Figure:
    """Draw a confusion matrix, its cells shaded by their share of the row.

    Args:
      confusion: counts by true class (rows) and predicted class (columns).
      class_names: names of the classes, in the same order.
    """
    counts = np.asarray(confusion)
    side = 2 + 0.42 * len(counts)
    figure = Figure(figsize=(side, side), layout="constrained", dpi=120)
    FigureCanvasAgg(figure)
    axes = figure.subplots()
    shares = counts / np.maximum(counts.sum(axis=1, keepdims=True), 1)
    axes.imshow(shares, cmap="Blues", vmin=0, vmax=1)
    for (row, column), count in np.ndenumerate(counts):
        if count:
            color = "white" if shares[row, column] > 0.5 else "black"
            axes.text(column, row, str(count), ha="center", va="center", fontsize=7, color=color)
    places, captions = range(len(counts)), [caption(name) for name in class_names]
    axes.set_xticks(places, captions, rotation=90, fontsize=8, parse_math=False)
    axes.set_yticks(places, captions, fontsize=8, parse_math=False)
    axes.set(xlabel="predicted", ylabel="true")
    return figure
