"""The table of `python -m studies.versus_torchvision` for the documentation."""

from collections.abc import Mapping
from typing import Any

from benchmarks.conditions import describe
from flax_googlenet.sweeps.comparison import (
    LEGEND,
    Difference,
    Spread,
    spread,
    with_deviation,
    with_half_width,
)
from studies.versus_torchvision.summary import at_epoch

_COLUMNS_OF_CURVES = 4


def versus_torchvision(result: Mapping[str, Any]) -> str:
    """Return the settings, the rows with their differences, and the learning curves."""
    setting, data, differences = result["setting"], result["data"], result["differences"]
    seeds = len(next(iter(result["rows"].values()))["curves"])
    settings = (
        f"{len(data['classes'])} classes, {data['train']} images to train on and {data['val']} held out, "
        f"{setting['image_size']} pixels; {setting['epochs']} epochs in batches of {setting['batch_size']}, "
        f"SGD with momentum {setting['momentum']:g} from {setting['learning_rate']:g}, "
        f"{seeds} {'seed' if seeds == 1 else 'seeds'}."
    )
    heads = ["row", "top-1 in %", *(f"difference to `{name}`" for name in differences), "loss"]
    rows = [f"| {' | '.join(heads)} | |", f"|---|{'---:|' * (len(heads) - 1)}---|"]
    for name, row in result["rows"].items():
        to = (differences[reference].get(name) for reference in differences)
        cells = [
            f"`{name}`",
            with_deviation(Spread(**row["top1"]), 100, 1),
            *("" if found is None else with_half_width(Difference(**found["top1"])) for found in to),
            with_deviation(Spread(**row["loss"]), 1, 3),
            row["note"],
        ]
        rows.append(f"| {' | '.join(cells)} |")
    parts = [settings, "\n".join(rows), LEGEND, _curves(result), describe(result["conditions"])]
    return "\n\n".join(parts)


def _curves(result: Mapping[str, Any]) -> str:
    """Return a table of the mean top-1 and loss after some epochs."""
    epochs = result["setting"]["epochs"]
    quarters = range(1, _COLUMNS_OF_CURVES + 1)
    shown = sorted({max(epochs * quarter // _COLUMNS_OF_CURVES, 1) for quarter in quarters})
    rows = [
        f"| top-1 in %, loss after epoch | {' | '.join(map(str, shown))} |",
        f"|---|{'---:|' * len(shown)}",
    ]
    for name, row in result["rows"].items():
        means = (
            [spread(at_epoch(row["curves"], epoch, figure)).mean for figure in ("top1", "loss")]
            for epoch in shown
        )
        cells = (f"{100 * top1:.1f}, {loss:.3f}" for top1, loss in means)
        rows.append(f"| `{name}` | {' | '.join(cells)} |")
    return "\n".join(rows)
