"""The table of `python -m studies.crops_and_ensembles` for the documentation."""

from collections.abc import Mapping
from typing import Any

from benchmarks.conditions import describe

# Top-5 error in % of one network and of seven, by the number of crops: Table 3 of the paper.
PAPER = {"1": (10.07, 8.09), "10": (9.15, 7.62), "144": (7.89, 6.67)}


def crops_and_ensembles(result: Mapping[str, Any]) -> str:
    """Return the errors of one network and of the ensemble, and the paper's."""
    count = result["models"]
    last = result.get("without_averaging")
    columns = [f"{who}, {figure}" for figure in ("top-1", "top-5") for who in ("one", count)]
    rows = [
        f"| crops | {' | '.join(columns)} | paper: one, top-5 | 7, top-5 |",
        f"|---|{'---:|' * 6}",
    ]
    lines = [*([("1, weights of the last step", last)] if last else []), *result["crops"].items()]
    for crops, figures in lines:
        errors = (
            f"{100 * (1 - figures[who][name]):.1f}"
            for name in ("top1", "top5")
            for who in ("mean", "ensemble")
        )
        paper = (f"{error:.2f}" for error in PAPER.get(crops, ()))
        rows.append(f"| {' | '.join([crops, *errors, *paper])}{'' if crops in PAPER else ' | |'} |")
    return "\n\n".join(["Error in %:", "\n".join(rows), describe(result["conditions"])])
