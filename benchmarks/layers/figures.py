"""The figures of a roofline, from the timings of the layers."""

from collections.abc import Mapping, Sequence
from typing import Any

from benchmarks.layers.cases import Case
from benchmarks.layers.timing import Ceilings, Timing


def result(
    cases: Sequence[Case],
    measured: Sequence[Mapping[str, Mapping[str, Timing]]],
    ceilings: Sequence[Ceilings],
    batch_size: int,
) -> dict[str, Any]:
    """Return the ceilings, the figures of every pass, and the totals of every kind of layer.

    Args:
      cases: the layers.
      measured: for each layer, the timings of its passes by library; "ours" is this project.
      ceilings: every measurement of the ceilings; the highest counts.
      batch_size: images in a batch.
    """
    highest = Ceilings(
        max(ceiling.flops for ceiling in ceilings), max(ceiling.bandwidth for ceiling in ceilings), ""
    )
    rows = []
    for case, by_library in zip(cases, measured, strict=True):
        passes = {
            name: _figures(
                highest,
                case.pass_flops(name) * batch_size,
                {library: timings[name] for library, timings in by_library.items()},
            )
            for name in case.passes
        }
        rows.append({"name": case.name, "kind": case.kind, "shape": case.shape, "passes": passes})
    return {
        "ceilings": {
            "gflop_per_second": round(highest.flops / 1e9, 1),
            "gb_per_second": round(highest.bandwidth / 1e9, 2),
        },
        "rows": rows,
        "totals": _totals(rows),
    }


def _figures(ceilings: Ceilings, flops: int, timings: Mapping[str, Timing]) -> dict[str, float]:
    ours = timings["ours"]
    roof = ceilings.roof(flops, ours.bytes)
    figures = {
        "ms": 1e3 * ours.seconds,
        "gflop_per_second": flops / ours.seconds / 1e9,
        "gb_per_second": ours.bytes / ours.seconds / 1e9,
        "flop_per_byte": flops / ours.bytes,
        "roof_ms": 1e3 * roof,
        "share_of_roof": roof / ours.seconds,
    }
    figures |= {f"{name}_ms": 1e3 * timing.seconds for name, timing in timings.items() if name != "ours"}
    return {name: float(f"{value:.4g}") for name, value in figures.items()}


def _totals(rows: Sequence[Mapping[str, Any]]) -> dict[str, dict[str, dict[str, float]]]:
    """Return the sums of the times by kind of layer and pass, and the share of the roof.

    The last entry sums over all layers; modules are not in it, because their layers are.
    """
    kinds = list(dict.fromkeys(row["kind"] for row in rows))
    totals = {kind: _sums([row for row in rows if row["kind"] == kind]) for kind in kinds}
    return totals | {"all layers": _sums([row for row in rows if row["kind"] != "module"])}


def _sums(rows: Sequence[Mapping[str, Any]]) -> dict[str, dict[str, float]]:
    sums: dict[str, dict[str, float]] = {}
    for name in dict.fromkeys(name for row in rows for name in row["passes"]):
        passes = [row["passes"][name] for row in rows if name in row["passes"]]
        times = {figure for figure in passes[0] if figure.endswith("ms")}
        sums[name] = {
            figure: round(sum(figures[figure] for figures in passes), 3) for figure in sorted(times)
        }
        sums[name]["share_of_roof"] = round(sums[name]["roof_ms"] / sums[name]["ms"], 3)
    return sums
