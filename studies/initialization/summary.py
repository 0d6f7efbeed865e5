"""The figures of a row over its seeds."""

import statistics
from collections.abc import Mapping
from typing import Any

from studies.initialization.table import MAIN


def summarize(results: Mapping[int, Mapping[str, Any]]) -> dict[str, Any]:
    """Return how many seeds left chance, and when, from the results of a row's trials by seed.

    >>> done = {"left": {"logits": 40, "aux_4a": None}, "steps": 90, "diverged": False}
    >>> stuck = {"left": {"logits": None, "aux_4a": None}, "steps": 90, "diverged": False}
    >>> summarize({0: done, 1: stuck})
    {'seeds': 2, 'main_head': 1, 'all_heads': 0, 'diverged': 0, 'median_step': 40, 'last_step': 40}
    """
    left = [result["left"] for result in results.values()]
    steps = [heads[MAIN] for heads in left if heads[MAIN] is not None]
    return {
        "seeds": len(left),
        "main_head": len(steps),
        "all_heads": sum(None not in heads.values() for heads in left),
        "diverged": sum(result["diverged"] for result in results.values()),
        "median_step": statistics.median(steps) if steps else None,
        "last_step": max(steps, default=None),
    }
