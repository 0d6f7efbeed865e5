"""The charts of a report, as Plotly's JSON.

The page sets the colors of axes and texts, which follow the light or dark theme of its reader. A heatmap
names its color scale in `meta`: "diverging" around 0, or "sequential".
"""

import html
import math
import statistics
from collections.abc import Mapping, Sequence
from typing import Any

from flax_googlenet.pictures import caption
from flax_googlenet.sweeps.comparison import Spread
from flax_googlenet.sweeps.report.reading import RowData
from flax_googlenet.sweeps.report.results import RowResult, class_differences

MAX_CLASSES = 20
MAX_POINTS = 40_000  # of all curves together: a megabyte of the page

# Distinct for most color-blind readers, on white and on black. Later rows have dashes.
COLORS = ("#3b82c4", "#e08a00", "#1f9d74", "#c76fa3", "#d5502e", "#7a6fd0", "#8a8f98", "#5aaed6")
DASHES = ("solid", "dash", "dot", "dashdot")

_COSTS = (
    ("multiply_adds", "multiply-adds per image"),
    ("params", "parameters"),
    ("seconds", "time of a run in s"),
    ("images_per_second", "training images/s"),
)

Figure = dict[str, Any]
Chart = list[dict[str, Any]]  # figures to choose from, each with its "label"


def curves(rows: Sequence[RowData]) -> Chart:
    """Draw accuracy and losses by step: the mean of a row's seeds as a line, over thin lines of the seeds."""
    names = {name for row in rows for run in row.runs for record in run.history for name in record}
    heads = sorted((name for name in names if name.startswith("train/loss_")), reverse=True)
    wanted = [
        ("val/top1", "validation top-1"),
        ("val/top5", "validation top-5"),
        ("val/loss", "validation loss"),
        *((name, f"training loss, {_head(name)}") for name in heads),
        ("train/top1", "training top-1"),
        ("train/learning_rate", "learning rate"),
    ]
    shown = [(name, label) for name, label in wanted if name in names]
    lines = sum(len(row.runs) + 1 for row in rows) * max(len(shown), 1)
    limit = max(MAX_POINTS // max(lines, 1), 20)
    figures = [_curves_of(rows, name, label, limit) for name, label in shown]
    # The first one is shown until the reader chooses another. Runs that are evaluated once have only points.
    return sorted(figures, key=lambda figure: all(len(trace["x"]) < 2 for trace in figure["data"]))


def _head(name: str) -> str:
    head = name.removeprefix("train/loss_")
    return "main head" if head == "logits" else f"auxiliary head {head.removeprefix('aux_')}"


def _curves_of(rows: Sequence[RowData], name: str, label: str, limit: int) -> Figure:
    traces = []
    for number, row in enumerate(rows):
        found = [_points(run.history, name) for run in row.runs]
        seeds = [points for points in found if points]
        if not seeds:
            continue
        line = {"color": COLORS[number % len(COLORS)], "dash": DASHES[number // len(COLORS) % len(DASHES)]}
        group = {"legendgroup": str(number), "name": html.escape(row.name)}
        common = sorted(set.intersection(*(set(points) for points in seeds)))
        mean = {step: statistics.fmean(points[step] for points in seeds) for step in common}
        thin = {"mode": "lines", "opacity": 0.35, "showlegend": False, "hoverinfo": "skip", **group}
        if len(seeds) > 1:
            traces += [_trace(points, limit, line={**line, "width": 1}, **thin) for points in seeds]
        traces.append(
            _trace(
                mean,
                limit,
                line={**line, "width": 2},
                mode="lines" if len(mean) > 1 else "markers",
                hovertemplate="%{y:.4g}",
                **group,
            )
        )
    layout: Figure = {"xaxis": {"title": {"text": "step"}}, "yaxis": {"title": {"text": label}}}
    hover = {"hovermode": "x unified", "hoverdistance": -1}  # the nearest step, however far
    return {"label": label, "data": traces, "layout": {**layout, **hover}}


def _points(history: Sequence[Mapping[str, float]], name: str) -> dict[float, float]:
    return {record["step"]: record[name] for record in history if math.isfinite(record.get(name, math.nan))}


def _trace(points: Mapping[float, float], limit: int, **style: Any) -> dict[str, Any]:
    """Return a line through at most about `limit` points, the last one among them."""
    steps = list(points)
    every = -(-len(steps) // limit) if steps else 1
    kept = steps[:0:-every][::-1]
    kept = [*steps[:1], *kept]
    return {"type": "scatter", "x": kept, "y": [float(f"{points[step]:.5g}") for step in kept], **style}


def accuracy_by_cost(results: Sequence[RowResult]) -> Chart:
    """Draw the accuracy of each row over what it costs."""
    charts: Chart = []
    for key, label in _COSTS:
        costs = [_cost(result, key) for result in results]
        traces = [
            _mark(number, result, cost, result.spreads["top1"])
            for number, (result, cost) in enumerate(zip(results, costs, strict=True))
            if cost is not None and "top1" in result.spreads
        ]
        layout: Figure = {
            "xaxis": {"title": {"text": label}, "tickformat": ".3~s"},
            "yaxis": {"title": {"text": "validation top-1 in %"}},
            "hovermode": "closest",
        }
        if traces:
            charts.append({"label": label, "data": traces, "layout": layout})
    return charts


def _cost(result: RowResult, key: str) -> float | None:
    if key in ("multiply_adds", "params"):
        count: int | None = getattr(result, key)
        return count
    found = result.spreads.get(key)
    return found.mean if found else None


def _mark(number: int, result: RowResult, cost: float, top1: Spread) -> Figure:
    deviation = round(100 * (top1.deviation or 0), 4)
    return {
        "type": "scatter",
        "mode": "markers",
        "name": html.escape(result.data.name),
        "x": [float(f"{cost:.6g}")],
        "y": [round(100 * top1.mean, 4)],
        "error_y": {"type": "data", "array": [deviation], "visible": True},
        "marker": {"color": COLORS[number % len(COLORS)], "size": 11, "symbol": number // len(COLORS)},
        "hovertemplate": "%{y:.2f}% at %{x:,.5~g}",
    }


def class_changes(rows: Sequence[RowData]) -> Chart:
    """Draw the difference of the accuracy per class to the first row, of the classes that change most."""
    found = {row.name: class_differences(row, rows[0]) for row in rows[1:]}
    known = {row: by_class for row, by_class in found.items() if by_class}
    if not known:
        return []
    names = list(dict.fromkeys(name for by_class in known.values() for name in by_class))
    change = {name: max(abs(by_class.get(name, 0.0)) for by_class in known.values()) for name in names}
    most = sorted(names, key=lambda name: -change[name])[:MAX_CLASSES]
    names = [name for name in names if name in most]
    values = [
        [round(100 * by_class[name], 4) if name in by_class else None for name in names]
        for by_class in known.values()
    ]
    heatmap = {
        "type": "heatmap",
        "meta": "diverging",
        "x": list(range(len(names))),
        "y": list(range(len(known))),
        "z": values,
        "zmid": 0,
        "texttemplate": "%{z:+.1f}",
        "customdata": [[html.escape(name) for name in names]] * len(known),
        "hovertemplate": "%{customdata}: %{z:+.2f} points<extra></extra>",
        "xgap": 2,
        "ygap": 2,
        "showscale": False,
    }
    layout = {
        "xaxis": {"title": {"text": "class"}, **_ticks(names)},
        "yaxis": {"autorange": "reversed", **_ticks(list(known))},
        "height": 130 + 34 * len(known) + 4 * max(len(caption(name)) for name in names),
    }
    return [{"label": "", "data": [heatmap], "layout": layout}]


def confusions(rows: Sequence[RowData]) -> Chart:
    """Draw the confusion matrix of each row, summed over its seeds, for few classes."""
    charts: Chart = []
    for row in rows:
        runs = [run for run in row.runs if run.confusion and len(run.confusion) <= MAX_CLASSES]
        if not runs or len({len(run.confusion) for run in runs}) > 1:
            continue
        size, names = len(runs[0].confusion), [entry["name"] for entry in runs[0].classes]
        counts = [[sum(run.confusion[i][j] for run in runs) for j in range(size)] for i in range(size)]
        shares = [[round(count / max(sum(line), 1), 4) for count in line] for line in counts]
        texts = [[str(count) if count else "" for count in line] for line in counts]
        heatmap = {
            "type": "heatmap",
            "meta": "sequential",
            "x": list(range(size)),
            "y": list(range(size)),
            "z": shares,
            "zmin": 0,
            "zmax": 1,
            "text": texts,
            "texttemplate": "%{text}",
            "customdata": [
                [f"{html.escape(true)} taken for {html.escape(name)}" for name in names] for true in names
            ],
            "hovertemplate": "%{customdata}: %{z:.1%}<extra></extra>",
            "xgap": 1,
            "ygap": 1,
            "showscale": False,
        }
        layout = {
            "xaxis": {"title": {"text": "predicted"}, **_ticks(names)},
            "yaxis": {"title": {"text": "true"}, "autorange": "reversed", **_ticks(names)},
            "height": 160 + 26 * size,
        }
        charts.append({"label": row.name, "data": [heatmap], "layout": layout})
    return charts


def _ticks(names: Sequence[str]) -> dict[str, Any]:
    """Return the ticks of an axis of names, which may occur twice and may look like numbers or HTML."""
    return {"tickvals": list(range(len(names))), "ticktext": [html.escape(caption(name)) for name in names]}
