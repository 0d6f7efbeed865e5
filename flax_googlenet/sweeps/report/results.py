"""The figures of rows: means, deviations, and differences to the reference."""

import dataclasses
from collections.abc import Mapping, Sequence

from flax_googlenet.config import with_num_classes
from flax_googlenet.models import build_model
from flax_googlenet.models.summary import Summary, summarize
from flax_googlenet.sweeps.comparison import (
    Difference,
    Spread,
    paired_difference,
    spread,
    with_deviation,
    with_half_width,
)
from flax_googlenet.sweeps.records import DONE, FAILED, PRUNED
from flax_googlenet.sweeps.report.reading import RowData, RunData


@dataclasses.dataclass(frozen=True)
class Figure:
    """A figure of a run.

    Attributes:
      key: its name in `RunData.figures`.
      title: the heading of its column.
      scale: factor of the shown value.
      digits: digits behind the point.
    """

    key: str
    title: str
    scale: float = 1.0
    digits: int = 2


FIGURES = (
    Figure("top1", "top-1 in %", 100.0),
    Figure("top5", "top-5 in %", 100.0),
    Figure("loss", "loss", digits=4),
    Figure("ece", "calibration error in %", 100.0),
    Figure("top1_aux_4a", "top-1 of head 4a in %", 100.0),
    Figure("top1_aux_4d", "top-1 of head 4d in %", 100.0),
    Figure("images_per_second", "images/s", digits=1),
    Figure("seconds", "time in min", 1 / 60, 1),
)


@dataclasses.dataclass(frozen=True)
class RowResult:
    """The figures of a row.

    Attributes:
      data: its runs.
      spreads: mean and deviation over its complete runs, by figure.
      difference: of top-1 to the reference; None for the reference, and without a common seed.
      network: its network, measured; None if no run has recorded a config.
    """

    data: RowData
    spreads: Mapping[str, Spread]
    difference: Difference | None
    network: Summary | None

    @property
    def done(self) -> tuple[RunData, ...]:
        """The complete runs."""
        return tuple(run for run in self.data.runs if run.status == DONE)

    @property
    def failed(self) -> tuple[RunData, ...]:
        """The runs that failed."""
        return tuple(run for run in self.data.runs if run.status == FAILED)

    @property
    def pruned(self) -> tuple[RunData, ...]:
        """The trials that a search ended early."""
        return tuple(run for run in self.data.runs if run.status == PRUNED)

    @property
    def multiply_adds(self) -> int | None:
        """Multiply-adds per image at inference."""
        return self.network.multiply_adds if self.network else None

    @property
    def params(self) -> int | None:
        """Number of parameters at inference."""
        return self.network.params if self.network else None


def compare_rows(rows: Sequence[RowData]) -> tuple[RowResult, ...]:
    """Return the figures of rows, the first of which is the reference."""
    networks: dict[str, Summary] = {}
    return tuple(
        RowResult(
            row,
            _spreads(row),
            paired_difference(by_seed(row, "top1"), by_seed(rows[0], "top1")) if number else None,
            _measure(row, networks),
        )
        for number, row in enumerate(rows)
    )


def by_seed(row: RowData, figure: str) -> dict[int, float]:
    """Return a figure of the complete runs of a row that have it, by seed."""
    return {run.seed: run.figures[figure] for run in row.runs if figure in run.figures}


def class_differences(row: RowData, reference: RowData) -> dict[str, float]:
    """Return the mean difference of the accuracy per class to the reference, paired by seed.

    Returns:
      The difference by class name; {} if the evaluations are not known, or have other classes.
    """
    own, other = _class_accuracy(row), _class_accuracy(reference)
    by_class: dict[str, list[float]] = {}
    for seed in sorted(own.keys() & other.keys()):
        if own[seed].keys() != other[seed].keys():
            return {}
        for name, accuracy in own[seed].items():
            by_class.setdefault(name, []).append(accuracy - other[seed][name])
    return {name: spread(values).mean for name, values in by_class.items()}


def sentence(result: RowResult, reference: RowResult) -> str:
    """Return the answer that a row gives, as a sentence."""
    name, base = result.data.name, reference.data.name
    failed = f" {_count(len(result.failed), 'run')} failed." if result.failed else ""
    if result.pruned:
        return f"{name}: pruned at step {result.pruned[0].step}."
    if "top1" not in result.spreads:
        return f"{name}: no run is complete.{failed}"
    accuracy = f"{with_deviation(result.spreads['top1'], 100, 2)}% top-1"
    seeds = _count(result.spreads["top1"].count, "seed")
    if result is reference:
        return f"{name}, the reference: {accuracy}, {seeds}.{failed}"
    difference = result.difference
    if difference is None:
        return f"{name}: {accuracy}, {seeds}, none of them in common with {base}.{failed}"
    points = with_half_width(difference)
    pairs = _count(difference.pairs, "seed")
    if difference.half_width is None:
        return f"{name}: {points} points of top-1, {pairs}, which gives no interval.{failed}"
    verdict = " The interval contains 0: no difference is shown." if contains_zero(difference) else ""
    return f"{name}: {points} points of top-1, {pairs}, paired.{verdict}{failed}"


def contains_zero(difference: Difference) -> bool:
    """Return whether the interval of a difference contains 0."""
    return difference.half_width is None or abs(difference.mean) <= difference.half_width


def _count(number: int, noun: str) -> str:
    return f"{number} {noun}" + ("" if number == 1 else "s")


def _spreads(row: RowData) -> dict[str, Spread]:
    values = {figure.key: list(by_seed(row, figure.key).values()) for figure in FIGURES}
    return {key: spread(found) for key, found in values.items() if found}


def _class_accuracy(row: RowData) -> dict[int, dict[str, float]]:
    """Return the accuracy by seed and class name; names that occur twice are numbered."""
    accuracy: dict[int, dict[str, float]] = {}
    for run in row.runs:
        names = [entry["name"] for entry in run.classes]
        unique = [name if names.count(name) == 1 else f"{name} ({label})" for label, name in enumerate(names)]
        if run.classes:
            accuracy[run.seed] = {
                name: entry["accuracy"] for name, entry in zip(unique, run.classes, strict=True)
            }
    return accuracy


def _measure(row: RowData, networks: dict[str, Summary]) -> Summary | None:
    """Return the table of a row's network, which rows of the same network share."""
    run = next((run for run in row.runs if run.config is not None), None)
    if run is None or run.config is None:
        return None
    config = with_num_classes(run.config, len(run.classes))
    if not config.model.num_classes:  # that of a data set which no evaluation has named
        return None
    key = repr((config.model, config.data.image_size))
    if key not in networks:
        networks[key] = summarize(build_model(config.model), config.data.image_size)
    return networks[key]
