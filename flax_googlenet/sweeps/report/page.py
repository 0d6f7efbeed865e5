"""The report's page: one file with its styles, scripts and numbers, which needs no network."""

import json
from collections.abc import Mapping, Sequence
from typing import Any

from flax_googlenet.config import OPERATIONAL_KEYS, flatten, to_json_dict
from flax_googlenet.sweeps.comparison import LEGEND
from flax_googlenet.sweeps.report import charts
from flax_googlenet.sweeps.report.drawing import HEIGHT, WIDTH, draw_networks
from flax_googlenet.sweeps.report.results import RowResult, contains_zero, sentence
from flax_googlenet.sweeps.report.tables import columns

Commands = Mapping[str, Sequence[str]]  # by row


def to_html(results: Sequence[RowResult], commands: Commands) -> str:
    """Return the page.

    Args:
      results: the figures of the rows, that of the reference first.
      commands: commands that repeat each row.
    """
    import jinja2
    import plotly.offline

    environment = jinja2.Environment(
        loader=jinja2.PackageLoader("flax_googlenet.sweeps.report", "template"),
        autoescape=True,
        trim_blocks=True,
        lstrip_blocks=True,
        undefined=jinja2.StrictUndefined,
    )
    rows = [result.data for result in results]
    drawn = {
        "curves": charts.curves(rows),
        "cost": charts.accuracy_by_cost(results),
        "classes": charts.class_changes(rows),
        "confusion": charts.confusions(rows),
    }
    return environment.get_template("page.html").render(
        title=f"Comparison with {rows[0].name}" if len(rows) > 1 else rows[0].name,
        answers=[_answer(result, results[0]) for result in results],
        columns=columns(results),
        results=results,
        legend=LEGEND,
        charts=drawn,
        charts_json=_in_a_script(drawn),
        max_classes=charts.MAX_CLASSES,
        drawings=draw_networks(results),
        block_width=WIDTH,
        block_height=HEIGHT,
        details=[
            {
                "result": result,
                "changes": _changes(result, results[0]),
                "commands": commands.get(result.data.name, ()),
                "config": _config_text(result),
            }
            for result in results
        ],
        conditions=_conditions(results),
        plotly=plotly.offline.get_plotlyjs(),
    )


def _answer(result: RowResult, reference: RowResult) -> dict[str, str]:
    """Return the sentence of a row, its note, and the class of its color."""
    difference = result.difference
    kind = "neutral"
    if difference is not None and not contains_zero(difference):
        kind = "better" if difference.mean > 0 else "worse"
    return {"text": sentence(result, reference), "note": result.data.note, "kind": kind}


def _changes(result: RowResult, reference: RowResult) -> list[tuple[str, str, str]]:
    """Return the keys in which a row differs from the reference, with the values of both."""
    own, other = _flat_config(result), _flat_config(reference)
    keys = [key for key in {**other, **own} if key not in OPERATIONAL_KEYS and key != "seed"]
    if not own or not other:
        return []
    return [
        (key, json.dumps(other.get(key)), json.dumps(own.get(key)))
        for key in keys
        if own.get(key) != other.get(key)
    ]


def config_of(result: RowResult) -> dict[str, Any] | None:
    """Return the resolved config of a row, that of its first run that recorded one."""
    configs = (run.config for run in result.data.runs if run.config is not None)
    config = next(configs, None)
    return to_json_dict(config) if config is not None else None


def _flat_config(result: RowResult) -> dict[str, Any]:
    return flatten(config_of(result) or {})


def _config_text(result: RowResult) -> str:
    config = config_of(result)
    return json.dumps(config, indent=2) if config else ""


def _conditions(results: Sequence[RowResult]) -> list[tuple[str, str]]:
    """Return the devices, commits and versions of all runs."""
    found: dict[str, dict[str, None]] = {}
    for result in results:
        for run in result.data.runs:
            for name, value in run.conditions.items():
                versions = value.items() if isinstance(value, Mapping) else [(name, value)]
                for package, version in versions:
                    found.setdefault(package, {})[str(version)] = None
    return [(name, ", ".join(values)) for name, values in found.items()]


def _in_a_script(value: Any) -> str:
    """Return JSON that ends no script element, whatever its texts contain."""
    text = json.dumps(value, separators=(",", ":"), ensure_ascii=True, allow_nan=False)
    return text.replace("<", "\\u003c").replace(">", "\\u003e").replace("&", "\\u0026")
