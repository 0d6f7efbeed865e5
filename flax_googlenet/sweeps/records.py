"""The results of a sweep: a record per run in results.json, and a table of its rows in summary.md."""

import json
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from etils import epath

from flax_googlenet.errors import UserError
from flax_googlenet.paths import explaining_bucket_errors, replace_file
from flax_googlenet.sweeps.comparison import (
    LEGEND,
    paired_difference,
    spread,
    with_deviation,
    with_half_width,
)
from flax_googlenet.sweeps.expansion import Run
from flax_googlenet.sweeps.plan import Cost

RESULTS, SUMMARY = "results.json", "summary.md"

# Directory of a run with what `evaluate` reports of its last checkpoint.
EVALUATION = "evaluation"

# What a record says of its run. Only the trials of a search are recorded before their end, or pruned.
DONE, FAILED, PRUNED, RUNNING = "done", "failed", "pruned", "running"

Record = dict[str, Any]

_CONFIG_FILE = '''"""The resolved config of {what}."""

from ml_collections import ConfigDict


def get_config() -> ConfigDict:
    return ConfigDict(
        {config!r}
    )
'''


class Records:
    """The records of a sweep's runs, which its directory keeps.

    A record has "row", "seed", "status", "digest" of the resolved config, "params", "multiply_adds" and
    "workdir", relative to the directory of the sweep. That of a complete run has "step", "top1", "top5",
    "loss" and "images_per_second", too, the "device", "commit" and "versions" of its last process; and that
    of a failed one "error".

    The records of a search have the "values" of the keys that it varies, and "evaluations", pairs of a step
    and the top-1 accuracy. That of a pruned trial has the figures of a complete one except for its speed.

    Attributes:
      path: the file.
      space: the space of a search, the values of each key as text; {} for a sweep.
    """

    def __init__(self, root: epath.Path) -> None:
        """Read the records of earlier commands.

        Args:
          root: directory of the sweep.

        Raises:
          UserError: if results.json is not a file of records.
        """
        self.path = root / RESULTS
        self.space: dict[str, str] = {}
        self._records: dict[str, Record] = {}
        with explaining_bucket_errors(self.path):
            if not self.path.exists():
                return
            content = self.path.read_text()
        try:
            parsed = json.loads(content)
            self._records = {record["workdir"]: record for record in parsed["runs"]}
            self.space = dict(parsed.get("space", {}))
        except (ValueError, KeyError, TypeError) as error:
            raise UserError(
                f"{self.path} is corrupt; remove it, and the runs that are complete are read from their "
                "checkpoints."
            ) from error

    def of(self, run: Run) -> Record | None:
        """Return the record of a run, or None."""
        return self._records.get(run.name)

    def of_row(self, name: str) -> Record | None:
        """Return the first record of a row, or None."""
        return next((record for record in self._records.values() if record["row"] == name), None)

    @property
    def seeds(self) -> set[int]:
        """The seeds of all records."""
        return {record["seed"] for record in self._records.values()}

    def is_done(self, run: Run) -> bool:
        """Return whether a run of the same config is complete."""
        record = self.of(run)
        return record is not None and record["status"] == DONE and record["digest"] == run.digest

    def add(self, run: Run, cost: Cost, outcome: Mapping[str, Any]) -> None:
        """Replace the record of a run.

        Args:
          run: the run.
          cost: its cost.
          outcome: "status", and the figures or the error; for a trial, its values and evaluations, too.
        """
        self._records[run.name] = {
            "row": run.row.name,
            "seed": run.seed,
            "digest": run.digest,
            **outcome,
            "params": cost.params,
            "multiply_adds": cost.multiply_adds,
            "workdir": run.name,
        }

    def write(self, runs: Sequence[Run], table: str = "") -> None:
        """Write the records, those of the runs of this sweep first, and a table of them.

        Args:
          runs: the runs.
          table: the table; by default, one that compares the rows.
        """
        own = [self._records[run.name] for run in runs if run.name in self._records]
        names = {run.name for run in runs}
        others = [record for name, record in self._records.items() if name not in names]
        notes = {run.row.name: run.row.note for run in runs}
        space = {"space": self.space} if self.space else {}
        content = {"reference": runs[0].row.name, "notes": notes, **space, "runs": [*own, *others]}
        write_text(self.path, json.dumps(content, indent=1) + "\n")
        write_text(self.path.with_name(SUMMARY), table or summary(own, runs[0].row.name, notes))


def write_text(path: epath.Path, text: str) -> None:
    """Replace a file of a sweep.

    Raises:
      UserError: if it cannot be written.
    """
    try:
        with explaining_bucket_errors(path, "write"):
            replace_file(path, text.encode())
    except OSError as error:
        raise UserError(f"Cannot write {path}: {error.strerror or error}; make room for it.") from error


def summary(
    records: Iterable[Mapping[str, Any]],
    reference: str,
    notes: Mapping[str, str],
    *,
    with_speed: bool = True,
) -> str:
    """Return a Markdown table with a line per row.

    Args:
      records: the records of the runs.
      reference: name of the row to compare the others with.
      notes: what each row shows, by name and in the order of the lines.
      with_speed: whether there is a column of images/s.
    """
    by_row: dict[str, list[Mapping[str, Any]]] = {name: [] for name in notes}
    for record in records:
        by_row[record["row"]].append(record)
    accuracies = {name: _by_seed(own, "top1") for name, own in by_row.items()}
    difference = f"difference to {reference} in points"
    columns = ["row", "runs", "top-1 in %", difference, "top-5 in %", "loss"]
    columns += ["parameters", "multiply-adds", *(["images/s"] if with_speed else []), "note"]
    lines = [f"| {' | '.join(columns)} |", f"|---|{'--:|' * (len(columns) - 2)}---|"]
    for name, own in by_row.items():
        done = [record for record in own if record["status"] == DONE]
        failed = len(own) - len(done)
        cells = [name, f"{len(done)}" + (f", {failed} failed" if failed else "")]
        if done:
            compared = paired_difference(accuracies[name], accuracies[reference])
            cells += [
                _mean(done, "top1", 100, 2),
                "" if name == reference else with_half_width(compared) if compared else "no common seed",
                _mean(done, "top5", 100, 2),
                _mean(done, "loss", 1, 4),
                f"{done[0]['params']:,}",
                f"{done[0]['multiply_adds'] / 1e6:,.1f}M",
                *([_mean(done, "images_per_second", 1, 1)] if with_speed else []),
            ]
        cells += [""] * (len(columns) - 1 - len(cells))
        lines.append(f"| {' | '.join([*cells, _in_a_cell(notes[name])])} |")
    return "\n".join([*lines, "", LEGEND]) + "\n"


def _by_seed(records: Iterable[Mapping[str, Any]], figure: str) -> dict[int, float]:
    return {record["seed"]: record[figure] for record in records if record["status"] == DONE}


def _mean(records: Iterable[Mapping[str, Any]], figure: str, scale: float, digits: int) -> str:
    return with_deviation(spread([record[figure] for record in records]), scale, digits)


def config_file(config: Mapping[str, Any], what: str) -> str:
    """Return a file with a resolved config, to train with.

    Args:
      config: the config, as plain dictionaries.
      what: says whose config it is, in the docstring of the file.
    """
    return _CONFIG_FILE.format(what=what.replace('"', "'"), config=config)


def _in_a_cell(text: str) -> str:
    return text.replace("|", "\\|")
