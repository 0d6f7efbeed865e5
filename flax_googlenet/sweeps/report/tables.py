"""The figures of rows as cells, and as Markdown and CSV."""

import csv
import dataclasses
import io
from collections.abc import Callable, Sequence

from flax_googlenet.sweeps.comparison import LEGEND, with_deviation, with_half_width
from flax_googlenet.sweeps.report.results import (
    FIGURES,
    Figure,
    RowResult,
    sentence,
)


@dataclasses.dataclass(frozen=True)
class Cell:
    """A cell of the table.

    Attributes:
      text: what it shows.
      value: by what its column is sorted; None sorts last.
    """

    text: str
    value: float | str | None = None


@dataclasses.dataclass(frozen=True)
class Column:
    """A column of the table.

    Attributes:
      title: its heading.
      cell: returns the cell of a row.
      is_text: whether its cells are words.
    """

    title: str
    cell: Callable[[RowResult], Cell]
    is_text: bool = False


def columns(results: Sequence[RowResult]) -> list[Column]:
    """Return the columns of the table, without those of figures that no run has recorded."""
    reference = results[0].data.name
    known = [figure for figure in FIGURES if any(figure.key in result.spreads for result in results)]
    found = [
        Column("row", lambda result: Cell(result.data.name, result.data.name), is_text=True),
        *(_column_of(figure) for figure in known),
        Column("parameters", lambda result: _count(result.params)),
        Column("multiply-adds in M", lambda result: _count(result.multiply_adds, 1e6)),
        Column("runs", lambda result: Cell(str(len(result.done)), len(result.done))),
        Column("failed", lambda result: Cell(str(len(result.failed)), len(result.failed))),
    ]
    if any(result.pruned for result in results):
        found.append(Column("pruned", lambda result: Cell(str(len(result.pruned)), len(result.pruned))))
    if known and known[0].key == "top1":
        found.insert(2, Column(f"points against {reference}", _difference))
    if any(result.data.note for result in results):
        found.append(Column("note", lambda result: Cell(result.data.note, result.data.note), is_text=True))
    return found


def _column_of(figure: Figure) -> Column:
    def cell(result: RowResult) -> Cell:
        found = result.spreads.get(figure.key)
        return Cell(with_deviation(found, figure.scale, figure.digits), found.mean) if found else Cell("")

    return Column(figure.title, cell)


def _difference(result: RowResult) -> Cell:
    difference = result.difference
    return Cell(with_half_width(difference), difference.mean) if difference else Cell("")


def _count(number: int | None, unit: float = 1) -> Cell:
    if number is None:
        return Cell("")
    return Cell(f"{number:,}" if unit == 1 else f"{number / unit:,.1f}", number)


def to_markdown(results: Sequence[RowResult]) -> str:
    """Return the sentences and the table of rows as Markdown."""
    shown = columns(results)
    rule = ["---" if column.is_text else "--:" for column in shown]
    lines = [
        "# Report",
        "",
        *(f"- {_escaped(sentence(result, results[0]))}" for result in results),
        "",
        f"| {' | '.join(_escaped(column.title) for column in shown)} |",
        f"|{'|'.join(rule)}|",
        *(f"| {' | '.join(_escaped(column.cell(result).text) for column in shown)} |" for result in results),
        "",
        LEGEND,
    ]
    failures = [f"- {_escaped(f'{run.workdir}: {run.error}')}" for row in results for run in row.failed]
    return "\n".join([*lines, *(["", "Failed:", "", *failures] if failures else [])]) + "\n"


def _escaped(text: str) -> str:
    for character in "\\|<>*_`[]":
        text = text.replace(character, f"\\{character}")
    return " ".join(text.split())


def rows_to_csv(results: Sequence[RowResult]) -> str:
    """Return a line per row, with figures in their units and not rounded: shares, nats and seconds."""
    head = ["row", "note", "runs", "failed", "seeds"]
    head += [f"{figure.key}_{part}" for figure in FIGURES for part in ("mean", "deviation")]
    head += ["top1_difference", "top1_half_width", "pairs", "params", "multiply_adds"]
    lines = []
    for result in results:
        row, difference = result.data, result.difference
        cells: list[object] = [row.name, row.note, len(result.done), len(result.failed)]
        cells.append(" ".join(str(run.seed) for run in result.done))
        for figure in FIGURES:
            found = result.spreads.get(figure.key)
            cells += [found.mean, found.deviation] if found else [None, None]
        cells += [difference.mean, difference.half_width, difference.pairs] if difference else [None] * 3
        lines.append([*cells, result.params, result.multiply_adds])
    return _csv(head, lines)


def runs_to_csv(results: Sequence[RowResult]) -> str:
    """Return a line per run, with figures in their units and not rounded."""
    head = ["row", "seed", "status", *(figure.key for figure in FIGURES)]
    head += ["device", "commit", "workdir", "error"]
    lines = [
        [
            row.data.name,
            run.seed,
            run.status,
            *(run.figures.get(figure.key) for figure in FIGURES),
            *(run.conditions.get(name) for name in ("device", "commit")),
            run.workdir,
            run.error,
        ]
        for row in results
        for run in row.data.runs
    ]
    return _csv(head, lines)


def _csv(head: Sequence[str], lines: Sequence[Sequence[object]]) -> str:
    """Return lines as CSV; None is an empty cell."""
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(head)
    writer.writerows(lines)
    return text.getvalue()
