"""The table of `python -m benchmarks.chaos` for the documentation."""

from collections.abc import Mapping
from typing import Any

from benchmarks.conditions import describe


def chaos(result: Mapping[str, Any]) -> str:
    """Return the settings, the figures of each phase, and what was compared."""
    name = f"SIG{result['signal']}"
    trainings = "1 training" if result["trainings"] == 1 else f"{result['trainings']} trainings"
    # Results from before there was a choice do not say it.
    when = "in the background" if result.get("in_background", True) else "before going on"
    settings = (
        f"{name}, {result['kills']} times in {trainings} of {result['steps']} steps, "
        f"which saved every {result['save_every']} steps, {when}, and evaluated every "
        f"{result['evaluate_every']}; "
        f"{result['one_of_two']} times to one process of two. Seed {result['seed']}."
    )
    columns = (name, "survived", "steps redone", "most", "exit statuses", "within")
    rows = [f"| phase | {' | '.join(columns)} |", "|---|---:|---:|---:|---:|---|---:|"]
    rows += [_row(phase, figures) for phase, figures in result["phases"].items() if figures["count"]]
    rows.append(_row("all", result["all_phases"]))
    compared = (
        f"The SHA-256 of each of these was that of a run without signals: {', '.join(result['identical'])}."
        if result["survived"] == result["kills"]
        else f"{result['kills'] - result['survived']} signals were not survived."
    )
    return "\n\n".join([settings, "\n".join(rows), compared, describe(result["conditions"])])


def _row(phase: str, figures: Mapping[str, Any]) -> str:
    statuses = ", ".join(f"{status} ({count}x)" for status, count in figures["statuses"].items())
    cells = (
        phase,
        str(figures["count"]),
        str(figures["survived"]),
        str(figures["steps_redone"]),
        str(figures["most_redone"]),
        statuses,
        f"{figures['most_seconds']:.1f} s" if statuses else "",
    )
    return f"| {' | '.join(cells)} |"
