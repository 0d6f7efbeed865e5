"""The trials of a search, one after the other in this process."""

import dataclasses
import logging
import os
from collections.abc import Mapping, Sequence
from typing import Any

from etils import epath

from flax_googlenet import checkpoints
from flax_googlenet.config import flatten, to_json_dict
from flax_googlenet.config.schema import nested
from flax_googlenet.errors import StopTraining, UserError, check_packages
from flax_googlenet.inheritance import resolve_config
from flax_googlenet.sweeps.execution import check_unchanged, locked, train_and_evaluate
from flax_googlenet.sweeps.expansion import Run, expand
from flax_googlenet.sweeps.plan import Cost, Plan, in_words, make_plan
from flax_googlenet.sweeps.records import (
    DONE,
    FAILED,
    PRUNED,
    RUNNING,
    Record,
    Records,
    config_file,
    write_text,
)
from flax_googlenet.sweeps.rows import Row, Sweep
from flax_googlenet.sweeps.space import Domain, Search, check_space, corners
from flax_googlenet.sweeps.suggestions import Suggestions, Trial
from flax_googlenet.training.reporting.conditions import conditions

logger = logging.getLogger(__name__)

BEST_FILE = "best.py"

_BASE = Row("base")


@dataclasses.dataclass(frozen=True)
class SearchOutcome:
    """The outcome of a search.

    Attributes:
      records: the records of its trials, in their order.
      results: the file with the records.
      table: the trials as Markdown, best first.
      config: the file with the config of the best trial; "" if no trial is complete.
    """

    records: tuple[Record, ...]
    results: str
    table: str
    config: str

    @property
    def best(self) -> Record | None:
        """The record of the best complete trial, the first one of several; None if none is complete."""
        return _best(self.records)

    def count(self, status: str) -> int:
        """Return the number of trials with a status, such as "pruned"."""
        return sum(record["status"] == status for record in self.records)


def run_search(
    search: Search,
    base: Mapping[str, Any],
    *,
    trials: int,
    changes: Mapping[str, Any] | None = None,
    workdir: str | os.PathLike,
) -> SearchOutcome:
    """Train the trials of a search that are not complete, resuming the one that was stopped.

    Optuna's TPE sampler suggests the values of each trial from the results of those before. Its median pruner
    ends a trial after an evaluation if the best top-1 accuracy of the trial is below the median of the
    complete trials at that step, once five are complete. The first trial has the values of the base config,
    if they lie in the space.

    The same call gives the same trials on the same machine, however often it is stopped. A trial that fails
    with a `UserError` is recorded, and the others are trained. Called again, the function trains failed
    trials again, with the values that they had.

    Args:
      search: the search.
      base: the keys that its base config sets, nested as in `DEFAULTS`.
      trials: number of trials, those of earlier calls included.
      changes: values for all trials, by the full names of their keys. The seed is that of the search, too.
      workdir: directory of the search; created if it does not exist.

    Raises:
      UserError: if the space has a mistake, a package is missing, or the directory cannot be used or has
        another search.
      Preempted: as `train` does; the search can be resumed.
    """
    check_packages("A search", ("optuna",), "search")
    space = check_space(search.space)
    for key in space:
        if key in (changes or {}):
            raise UserError(
                f"config.{key} is set for all trials, but the search is about it; leave it out, or take it "
                "out of the space."
            )
    _expand(search, base, changes, workdir, _BASE)  # a mistake of the config itself, not of the space
    _check_corners(space, {**flatten(base), **(changes or {})}, workdir)
    with locked(workdir) as root:
        return _Search(search, space, base, changes, root).run(trials)


def _check_corners(
    space: Mapping[str, Domain], settings: Mapping[str, Any], workdir: str | os.PathLike
) -> None:
    """Check that the keys of a space go together.

    Raises:
      UserError: if a config in the space would be refused.
    """
    for values in corners(space):
        try:
            resolve_config(nested({**settings, **values}), workdir)
        except UserError as error:
            raise UserError(f"The space of the search allows {in_a_line(values)}: {error}") from None


def _expand(
    search: Search,
    base: Mapping[str, Any],
    changes: Mapping[str, Any] | None,
    workdir: str | os.PathLike,
    row: Row,
) -> Run:
    (run,) = expand(Sweep(search.base, (row,)), base, changes=changes, workdir=workdir)
    return run


class _Search:
    """A search in a directory, which is locked."""

    def __init__(
        self,
        search: Search,
        space: Mapping[str, Domain],
        base: Mapping[str, Any],
        changes: Mapping[str, Any] | None,
        root: epath.Path,
    ) -> None:
        """Read the records of earlier commands, and check that they are of the same search."""
        self._search, self._space, self._base, self._changes, self._root = search, space, base, changes, root
        self._records = Records(root)
        self._check_space()
        config = _expand(search, base, changes, root, _BASE).config
        self._check_seed(config.seed)
        flat = flatten(config)
        own = {key: flat[key] for key in space}
        self._first = own if all(own[key] in domain for key, domain in space.items()) else None
        self._suggestions = Suggestions(space, config.seed)
        self._runs: list[Run] = []
        self._is_timed = False

    def _check_space(self) -> None:
        here, there = {key: repr(domain) for key, domain in self._space.items()}, self._records.space
        if not there and self._records.path.exists():
            raise UserError(f"{self._root} has the runs of a sweep; choose another workdir for the search.")
        for key in {**there, **here} if there else ():
            if there.get(key) != here.get(key):
                raise UserError(
                    f"The search has changed since {self._root} was begun: config.{key} has "
                    f"{there.get(key, 'one value')} there and {here.get(key, 'one value')} here; choose "
                    "another workdir."
                )
        self._records.space = here

    def _check_seed(self, seed: int) -> None:
        there = self._records.seeds - {seed}
        if there:
            raise UserError(
                f"config.seed is {seed}, and that of the trials in {self._root} is {there.pop()}; choose "
                "another workdir."
            )

    def run(self, trials: int) -> SearchOutcome:
        """Train the trials that are not complete."""
        for number in range(trials):
            self._take(number, trials)
        records = self._own_records()
        table = trials_table(records, self._space)
        self._records.write(self._runs, table)
        best = _best(records)
        path = self._root / BEST_FILE
        if best is not None:
            (run,) = (run for run in self._runs if run.name == best["workdir"])
            what = f"{run.row.name}, the best of {len(records)} trials in {self._root}"
            write_text(path, config_file(to_json_dict(run.config), what))
        return SearchOutcome(records, str(self._records.path), table, str(path) if best else "")

    def _take(self, number: int, trials: int) -> None:
        """Tell Optuna about a trial that is complete, or train it."""
        name = f"trial_{number:03}"
        record = self._records.of_row(name)
        if record is not None:
            trial = self._suggestions.next(record["values"])
        else:
            trial = self._suggestions.next(self._first if number == 0 else None)
        row = Row(name, trial.values, in_a_line(trial.values))
        run = _expand(self._search, self._base, self._changes, self._root, row)
        self._runs.append(run)
        check_unchanged(run, self._records)
        if record is None or record["status"] not in (DONE, PRUNED):
            record = self._train(run, trial, f"trial {number + 1} of {trials}")
        else:
            for step, top1 in record["evaluations"]:
                trial.report(step, top1)
        if record["status"] == DONE:
            self._suggestions.complete(trial, record["top1"])
        else:
            self._suggestions.give_up(trial)

    def _train(self, run: Run, trial: Trial, place: str) -> Record:
        """Train a trial, and return its record."""
        plan = self._plan(run)
        cost = plan.costs[run.row.name]
        logger.info(f"{place}: {run.row.note}")
        if seconds := plan.seconds(run.row.name):
            logger.info(f"a trial has about {in_words(seconds)} of training steps, unless it is pruned")
        self._record(run, cost, trial, {"status": RUNNING})  # keeps the values, whenever the process ends
        latest = checkpoints.last_described(run.workdir)
        for line in checkpoints.describe(latest).history if latest is not None else ():
            if "val/top1" in line:
                trial.report(int(line["step"]), line["val/top1"])
        last: dict[str, Any] = {}

        def on_evaluation(step: int, figures: Mapping[str, Any]) -> None:
            last.update(step=step, **{name: figures[name] for name in ("top1", "top5", "loss")})
            trial.report(step, figures["top1"])
            if step < cost.steps and trial.is_hopeless():
                raise StopTraining(f"{run.row.name} is pruned after step {step} of {cost.steps}")

        try:
            outcome = train_and_evaluate(run, on_evaluation=on_evaluation)
        except StopTraining as reason:
            logger.info(str(reason))
            outcome = {"status": PRUNED, **last, **conditions()}
        return self._record(run, cost, trial, outcome)

    def _plan(self, run: Run) -> Plan:
        """Measure the network of a trial, and time a step of the first one."""
        timed, self._is_timed = None if self._is_timed else run, True
        try:
            return make_plan([run], timed)
        except UserError:  # the trial fails, and its record will say why
            return make_plan([run])

    def _record(self, run: Run, cost: Cost, trial: Trial, outcome: Mapping[str, Any]) -> Record:
        evaluations = [[step, top1] for step, top1 in sorted(trial.evaluations.items())]
        self._records.add(run, cost, {**outcome, "values": trial.values, "evaluations": evaluations})
        self._records.write(self._runs, trials_table(self._own_records(), self._space))
        record = self._records.of(run)
        assert record is not None
        return record

    def _own_records(self) -> tuple[Record, ...]:
        records = (self._records.of(run) for run in self._runs)
        return tuple(record for record in records if record is not None)


def _best(records: Sequence[Record]) -> Record | None:
    done = [record for record in records if record["status"] == DONE]
    return max(done, key=lambda record: record["top1"], default=None)


def in_a_line(values: Mapping[str, Any]) -> str:
    """Return the values of a trial as text.

    >>> in_a_line({"optimizer.momentum": 0.87654321, "schedule.warmup": "1 epoch"})
    'optimizer.momentum=0.8765, schedule.warmup=1 epoch'
    """
    return ", ".join(f"{key}={_short(value)}" for key, value in values.items())


def trials_table(records: Sequence[Record], keys: Mapping[str, Any]) -> str:
    """Return a Markdown table of trials: the complete ones from the best on, then the others.

    Args:
      records: their records.
      keys: the keys that vary.
    """

    def rank(record: Record) -> tuple[int, float]:
        order = (DONE, PRUNED, FAILED, RUNNING)
        return order.index(record["status"]), -record.get("top1", 0.0)

    names = [key.rpartition(".")[-1] for key in keys]
    titles = [key if names.count(name) > 1 else name for key, name in zip(keys, names, strict=True)]
    columns = ["trial", "top-1 in %", "loss", *titles, "end"]
    lines = [f"| {' | '.join(columns)} |", f"|---|{'--:|' * (len(columns) - 2)}---|"]
    for record in sorted(records, key=rank):
        cells = [record["row"]]
        cells += [f"{100 * record['top1']:.2f}", f"{record['loss']:.4f}"] if "top1" in record else ["", ""]
        cells += [_short(record["values"][key]) for key in keys]
        lines.append(f"| {' | '.join([*cells, _end(record)])} |")
    return "\n".join(lines) + "\n"


def _end(record: Record) -> str:
    if record["status"] == FAILED:
        return f"failed: {record['error']}".replace("|", "\\|")
    if record["status"] == RUNNING:
        return "not complete"
    return f"{'complete' if record['status'] == DONE else 'pruned'} at step {record['step']}"


def _short(value: Any) -> str:
    return f"{value:.4g}" if isinstance(value, float) else str(value)
