"""The table of `python -m studies.initialization` for the documentation."""

from collections.abc import Mapping
from typing import Any

from benchmarks.conditions import describe

MAIN = "logits"


def initialization(result: Mapping[str, Any]) -> str:
    """Return the settings and, for each row, how many seeds left chance and when."""
    setting = result["setting"]
    settings = (
        f"{setting['data']}, {setting['image_size']} pixels, batches of {setting['batch_size']}; up to "
        f"{setting['steps']} steps. A head has left chance when the mean of its loss over "
        f"{setting['window']} steps is below {setting['left']:g} times ln(classes)."
    )
    rows = [
        "| row | main head | all heads | median step | last step | diverged |",
        "|---|---:|---:|---:|---:|---:|",
    ]
    for name, row in result["rows"].items():
        figures = row["figures"]
        steps = ("" if figures[key] is None else f"{figures[key]:g}" for key in ("median_step", "last_step"))
        count = figures["seeds"]
        cells = [
            f"`{name}`",
            f"{figures['main_head']}/{count}",
            f"{figures['all_heads']}/{count}",
            *steps,
            str(figures["diverged"] or ""),
        ]
        rows.append(f"| {' | '.join(cells)} |")
    legend = "The steps are those at which the main head left chance, of the seeds where it did."
    return "\n\n".join([settings, "\n".join(rows), legend, describe(result["conditions"])])
