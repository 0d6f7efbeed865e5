"""Medians, ratios and shares of a measurement in rounds."""

import statistics
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from benchmarks.harness.forms import cores

Call = tuple[float, float, float]  # wall seconds, CPU seconds, busy seconds of other processes
Round = Mapping[str, Sequence[Call]]  # the calls of each form, by its name


def summarize(
    facts: Mapping[str, Mapping[str, Any]], rounds: Sequence[Round], roof: Sequence[float]
) -> dict[str, Any]:
    """Return the result of a measurement, ready for JSON.

    Args:
      facts: the facts of each form, by name. If the first one's have "flop", every form does as many.
      rounds: the rounds.
      roof: the matrix-product rate of each round, in GFLOP/s; 0 if unknown.

    Returns:
      A dictionary with

      * "forms": by name, the form's facts; the wall "seconds" and "cpu_seconds" of a call, as medians over
        rounds of the round's median; "p50_seconds" and "p99_seconds" over all calls; "rounds", for each the
        median seconds, the median CPU seconds and the share of the cores that other processes used; and, if
        the FLOP are known, "gflops" and "share_of_roof"
      * "ratios": by name of each form but the first, the "median", "min" and "max" over rounds of its
        seconds divided by the first one's
      * "roof_gflops": by round
      * "others": the share of the cores that other processes used in the median round

    >>> rounds = [{"ours": [(1.0, 2.0, 0.0)], "peer": [(2.0, 4.0, 0.0)]}]
    >>> summarize({"ours": {}, "peer": {}}, rounds, [0.0])["ratios"]
    {'peer': {'median': 2.0, 'min': 2.0, 'max': 2.0}}
    """
    first, *others = facts
    seconds = {name: [_median_seconds(each[name]) for each in rounds] for name in facts}
    ratios = {
        name: _spread([other / ours for other, ours in zip(seconds[name], seconds[first], strict=True)])
        for name in others
    }
    flop = facts[first].get("flop", 0.0)
    forms = {}
    for name, known in facts.items():
        forms[name] = {**known, **_figures([each[name] for each in rounds])}
        if flop:
            forms[name] |= _rates([1e-9 * flop / median for median in seconds[name]], roof)
    share = statistics.median(
        share_of_others([call for calls in each.values() for call in calls]) for each in rounds
    )
    return {
        "forms": forms,
        "ratios": ratios,
        "roof_gflops": [round(rate, 1) for rate in roof],
        "others": round(share, 3),
    }


def describe(measured: Round) -> str:
    """Return a round as one line of text.

    >>> describe({"ours": [(0.5, 1.0, 0.0)], "peer": [(0.75, 1.0, 0.0)]})
    'ours 500.0 ms, peer 750.0 ms; other processes used 0% of the cores'
    """
    seconds = (f"{name} {1e3 * _median_seconds(calls):.1f} ms" for name, calls in measured.items())
    share = share_of_others([call for calls in measured.values() for call in calls])
    return f"{', '.join(seconds)}; other processes used {share:.0%} of the cores"


def share_of_others(calls: Sequence[Call]) -> float:
    """Return the share of the cores that other processes used during calls."""
    return max(0.0, sum(call[2] for call in calls) / (cores() * sum(call[0] for call in calls)))


def _median_seconds(calls: Sequence[Call]) -> float:
    return statistics.median(call[0] for call in calls)


def _figures(rounds: Sequence[Sequence[Call]]) -> dict[str, Any]:
    """Return the figures of a form, from its calls by round."""
    by_round = [
        (_median_seconds(calls), statistics.median(call[1] for call in calls), share_of_others(calls))
        for calls in rounds
    ]
    seconds, cpu_seconds, _ = (statistics.median(column) for column in zip(*by_round, strict=True))
    p50, p99 = np.quantile([call[0] for calls in rounds for call in calls], (0.5, 0.99)).tolist()
    figures = {"seconds": seconds, "cpu_seconds": cpu_seconds, "p50_seconds": p50, "p99_seconds": p99}
    return {
        **{name: round(value, 6) for name, value in figures.items()},
        "rounds": [[round(value, 4) for value in values] for values in by_round],
    }


def _rates(gflops: Sequence[float], roof: Sequence[float]) -> dict[str, float]:
    rates = {"gflops": round(statistics.median(gflops), 1)}
    if all(roof):
        shares = [rate / limit for rate, limit in zip(gflops, roof, strict=True)]
        rates["share_of_roof"] = round(statistics.median(shares), 3)
    return rates


def _spread(values: Sequence[float]) -> dict[str, float]:
    figures = {"median": statistics.median(values), "min": min(values), "max": max(values)}
    return {name: round(value, 3) for name, value in figures.items()}
