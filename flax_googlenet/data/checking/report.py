"""The files of a report on a data set: report.json and a histogram of the classes."""

import dataclasses
import json
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from etils import epath
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure

from flax_googlenet.data.checking.data_check import DataCheck
from flax_googlenet.paths import make_directory
from flax_googlenet.pictures import caption, save_picture

REPORT_FILE, HISTOGRAM_FILE = "report.json", "class_histogram.png"

_NAMED_CLASSES = 60  # the most class names that fit into a picture


def save_report(directory: epath.Path, check: DataCheck, figures: Mapping[str, Any]) -> None:
    """Write report.json and class_histogram.png.

    Args:
      directory: created if it does not exist.
      check: the check of a data set.
      figures: the result of the command, saved as "result".
    """
    make_directory(directory)
    report = {
        "result": dict(figures),
        "splits": {split: _describe(check, split) for split in check.splits},
        "bad_images": [dataclasses.asdict(problem) for problem in check.bad_images],
        "damaged_images": [dataclasses.asdict(problem) for problem in check.damaged_images],
        "labels_out_of_range": [dataclasses.asdict(problem) for problem in check.labels_out_of_range],
        "copies": [[dataclasses.asdict(copy) for copy in group] for group in check.copies],
    }
    (directory / REPORT_FILE).write_text(json.dumps(report, indent=1) + "\n")
    counts = {split: check.class_counts(split) for split in check.splits}
    save_picture(draw_class_histogram(counts, check.class_names), directory / HISTOGRAM_FILE)


def _describe(check: DataCheck, split: str) -> dict[str, Any]:
    split_check = check.splits[split]
    classes = zip(check.class_names[split], check.class_counts(split).tolist(), strict=True)
    return {
        "examples": len(split_check),
        "formats": dict(split_check.formats.most_common()),
        **split_check.side_summary(),
        "classes": [
            {"label": label, "name": name, "images": images} for label, (name, images) in enumerate(classes)
        ],
    }


def draw_class_histogram(
    counts: Mapping[str, np.ndarray], class_names: Mapping[str, Sequence[str]]
) -> Figure:
    """Draw the number of images per class, as bars with names for few classes or else as a curve by rank.

    Args:
      counts: number of images per class, int [classes], by split.
      class_names: names in the order of the labels, by split.
    """
    number_of_classes = max(len(names) for names in class_names.values())
    has_names = number_of_classes <= _NAMED_CLASSES
    size = (11, 1.4 + 0.2 * number_of_classes) if has_names else (11, 7)
    figure = Figure(figsize=size, layout="constrained", dpi=120)
    FigureCanvasAgg(figure)
    panels = figure.subplots(*((1, len(counts)) if has_names else (len(counts), 1)), squeeze=False).flat
    for axes, (split, images) in zip(panels, counts.items(), strict=True):
        (_draw_bars if has_names else _draw_ranks)(axes, images, class_names[split])
        axes.set_title(
            f"{split}: {images.sum():,} images in {len(images):,} classes, median {np.median(images):,g}",
            fontsize=11,
        )
        axes.spines[["top", "right"]].set_visible(False)
    return figure


def _draw_bars(axes: Axes, images: np.ndarray, names: Sequence[str]) -> None:
    bars = axes.barh(range(len(images)), images, color="tab:blue")
    axes.bar_label(bars, fontsize=8, padding=2)
    axes.set_yticks(range(len(names)), [caption(name) for name in names], fontsize=8, parse_math=False)
    axes.invert_yaxis()
    axes.margins(x=0.12, y=0.02)
    axes.set_xlabel("images")


def _draw_ranks(axes: Axes, images: np.ndarray, names: Sequence[str]) -> None:
    order = np.argsort(-images, kind="stable")
    ranked = images[order]
    axes.stairs(ranked, fill=True, color="tab:blue", alpha=0.6)
    if ranked[0] > 30 * max(np.median(images), 1):
        axes.set_yscale("symlog", linthresh=1)
    axes.set_ylim(0, ranked[0] * 1.1 + 1)
    axes.set_xlim(0, len(ranked))
    extremes = _list("largest", order[:3], images, names) + _list("smallest", order[:-4:-1], images, names)
    axes.set_xlabel("classes, from the largest to the smallest" + extremes, fontsize=9, parse_math=False)
    axes.set_ylabel("images")


def _list(title: str, labels: np.ndarray, images: np.ndarray, names: Sequence[str]) -> str:
    return f"\n{title}: " + ", ".join(f"{caption(names[label])} {images[label]:,}" for label in labels)
