"""The figures of the rows over their seeds, and their paired differences."""

import dataclasses
from collections.abc import Mapping, Sequence
from typing import Any

from flax_googlenet.sweeps.comparison import paired_difference, spread
from studies.versus_torchvision.rows import ROWS, TORCH

FIGURES = ("top1", "loss")

# The results of a row's trials by seed. A result has "curve", "seconds" and "commit".
Results = Mapping[int, Mapping[str, Any]]


def summarize(by_row: Mapping[str, Results]) -> dict[str, Any]:
    """Return what the trials of a study show, ready for JSON.

    Args:
      by_row: the results of each row.

    Returns:
      "rows", with the learning curves and, for top-1 and loss after the last epoch, the mean and the sample
      standard deviation over the seeds; and "differences", paired by seed, by the names of the reference and
      the row. All rows are compared with those in PyTorch. Changes of a row are also compared with that row.
    """
    changed = {ROWS[name].reference for name in by_row}
    references = [name for name in by_row if ROWS[name].trainer == TORCH or name in changed]
    return {
        "rows": {name: _row(name, results) for name, results in by_row.items()},
        "differences": {
            reference: {
                name: _differences(results, by_row[reference])
                for name, results in by_row.items()
                if name != reference
                and (ROWS[reference].trainer == TORCH or ROWS[name].reference == reference)
            }
            for reference in references
        },
    }


def _row(name: str, results: Results) -> dict[str, Any]:
    row = ROWS[name]
    return {
        "note": row.note,
        "trainer": row.trainer,
        "recipe": row.recipe,
        "overrides": dict(row.overrides),
        "commits": sorted({result["commit"] for result in results.values()}),
        "seconds": {str(seed): result["seconds"] for seed, result in results.items()},
        "curves": {str(seed): result["curve"] for seed, result in results.items()},
        **{figure: dataclasses.asdict(spread(list(last(results, figure).values()))) for figure in FIGURES},
    }


def _differences(results: Results, reference: Results) -> dict[str, Any]:
    differences = {}
    for figure in FIGURES:
        difference = paired_difference(last(results, figure), last(reference, figure))
        assert difference is not None, "all rows have the same seeds"
        differences[figure] = dataclasses.asdict(difference)
    return differences


def last(results: Results, figure: str) -> dict[int, float]:
    """Return a figure after the last epoch, by seed."""
    return {seed: result["curve"][-1][figure] for seed, result in results.items()}


def at_epoch(curves: Mapping[str, Sequence[Mapping[str, float]]], epoch: int, figure: str) -> list[float]:
    """Return a figure after an epoch for all seeds of a row of the result."""
    return [point[figure] for curve in curves.values() for point in curve if point["epoch"] == epoch]
