"""The runs of a sweep, one after the other in this process."""

import contextlib
import dataclasses
import logging
import os
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

import jax
from etils import epath

from flax_googlenet import checkpoints
from flax_googlenet.checkpoints import WorkdirLock
from flax_googlenet.config import first_difference, flatten, resolve, with_num_classes
from flax_googlenet.errors import UserError
from flax_googlenet.evaluation.ensemble import evaluate
from flax_googlenet.paths import explaining_bucket_errors, make_directory, resolve_path
from flax_googlenet.runtime.compilation import observed
from flax_googlenet.sweeps.expansion import Run
from flax_googlenet.sweeps.plan import Plan, in_words, make_plan
from flax_googlenet.sweeps.records import DONE, EVALUATION, FAILED, PRUNED, Records
from flax_googlenet.training import train
from flax_googlenet.training.reporting.conditions import conditions

logger = logging.getLogger(__name__)

_FIGURES = ("step", "top1", "top5", "loss", "images_per_second")


@dataclasses.dataclass
class Outcome:
    """The outcome of a sweep.

    Attributes:
      runs: number of runs.
      failed: number of those that ended with an error.
      results: the file with a record per run.
      programs: number of programs that were compiled or read from the compilation cache.
      saved: number of those that were read from the cache.
      saved_seconds: seconds that their compilation would have taken.
    """

    runs: int
    failed: int = 0
    results: str = ""
    programs: int = 0
    saved: int = 0
    saved_seconds: float = 0.0


def execute(
    runs: Sequence[Run],
    workdir: str | os.PathLike,
    *,
    show_plan: Callable[[Plan], None] = lambda _: None,
) -> Outcome:
    """Train all runs of a sweep that are not complete, resuming those that were stopped.

    A run that fails with a `UserError` is recorded, and the others are trained. Called again, the function
    trains failed runs again.

    Args:
      runs: the runs, as `expand` returns them for `workdir`.
      workdir: directory of the sweep; created if it does not exist.
      show_plan: called with the plan before the first run.

    Raises:
      UserError: if the directory cannot be used, or has a run of the same name with another config.
      Preempted: as `train` does; the sweep can be resumed.
    """
    with locked(workdir) as root:
        return _execute(runs, root, show_plan)


@contextlib.contextmanager
def locked(workdir: str | os.PathLike) -> Iterator[epath.Path]:
    """Create the directory of a sweep if it does not exist, and lock it inside the block.

    Raises:
      UserError: if it cannot be created, or another process uses it.
    """
    root = resolve_path(workdir)
    try:
        make_directory(root)
    except OSError as error:
        raise UserError(f"Cannot make {root}: {error.strerror}; choose another workdir.") from error
    lock = WorkdirLock(root)
    with explaining_bucket_errors(root, "write"):
        lock.acquire()
    try:
        yield root
    finally:
        lock.release()


def incomplete(runs: Sequence[Run], workdir: str | os.PathLike) -> list[Run]:
    """Return the runs of a sweep of which its directory has no record of a complete run.

    Args:
      runs: the runs, as `expand` returns them for `workdir`.
      workdir: directory of the sweep, which need not exist.

    Raises:
      UserError: as `execute` does.
    """
    records = _read_records(runs, resolve_path(workdir))
    return [run for run in runs if not records.is_done(run)]


def _execute(runs: Sequence[Run], root: epath.Path, show_plan: Callable[[Plan], None]) -> Outcome:
    records = _read_records(runs, root)
    outcome = Outcome(len(runs), results=str(records.path))

    def save(seconds: float) -> None:
        outcome.saved += 1
        outcome.saved_seconds += seconds

    def count(_seconds: float) -> None:
        outcome.programs += 1

    with observed(compiled=count, saved=save):
        untrained = (run for run in runs if not (records.is_done(run) or _is_trained(run)))
        try:
            plan = make_plan(runs, next(untrained, None))
        except UserError:  # that run fails, and its record will say why
            plan = make_plan(runs, None)
        show_plan(plan)
        for number, run in enumerate(runs, start=1):
            if records.is_done(run):
                continue
            logger.info(f"run {number} of {len(runs)}: {run.name}")
            result = train_and_evaluate(run)
            outcome.failed += result["status"] == FAILED
            records.add(run, plan.costs[run.row.name], result)
            records.write(runs)
    records.write(runs)
    logger.info(
        f"the compilation cache saved {outcome.saved} compilations of {in_words(outcome.saved_seconds)}; "
        f"{outcome.programs - outcome.saved} programs were compiled"
    )
    return outcome


def train_and_evaluate(run: Run, **options: Any) -> Mapping[str, Any]:
    """Train a run, evaluate it in detail, and return what its record says about its end.

    Args:
      run: the run.
      options: arguments of `train`.

    Raises:
      Preempted: as `train` does.
      StopTraining: as `train` does.
    """
    try:
        result = train(run.config, run.workdir, **options)
        has_auxiliary = run.config.model.aux_heads > 0
        evaluate(run.workdir, out=run.workdir / EVALUATION, aux_heads=has_auxiliary)
    except UserError as error:
        logger.error(f"{run.name} failed: {error}")
        return {"status": FAILED, "error": str(error)}
    except jax.errors.JaxRuntimeError as error:
        if "RESOURCE_EXHAUSTED" not in str(error):
            raise
        logger.error(f"{run.name} failed: the devices have too little memory for it")
        return {"status": FAILED, "error": "The devices have too little memory."}
    return {"status": DONE, **{name: result[name] for name in _FIGURES}, **conditions()}


def _is_trained(run: Run) -> bool:
    """Return whether the directory of a run has its result, which another process may have left there."""
    latest = checkpoints.last_described(run.workdir)
    return latest is not None and bool(checkpoints.describe(latest).result)


def _read_records(runs: Sequence[Run], root: epath.Path) -> Records:
    """Read the records of a sweep, and check that its directory has no run of another config."""
    records = Records(root)
    if records.space:
        raise UserError(f"{root} has the trials of a search; choose another workdir for the sweep.")
    for run in runs:
        check_unchanged(run, records)
    return records


def check_unchanged(run: Run, records: Records) -> None:
    """Check that the directory of a run has no run of another config.

    Raises:
      UserError: if the row, or what all trials of a search share, was changed after the run began.
    """
    latest = checkpoints.last_described(run.workdir)
    if latest is not None:
        recorded = resolve(checkpoints.describe(latest).config)
        config = with_num_classes(run.config, recorded.model.num_classes)
        key = first_difference(recorded, config)
        if key is not None:
            there, here = flatten(recorded)[key], flatten(config)[key]
            raise _changed(run, records, f"config.{key} is {there!r} there and {here!r} here")
        return  # the digest in the record also changes when a version adds a key
    record = records.of(run)
    if record is not None and record["status"] in (DONE, PRUNED) and record["digest"] != run.digest:
        raise _changed(run, records, "the digests of their configs differ")


def _changed(run: Run, records: Records, difference: str) -> UserError:
    change = f"has changed since {run.workdir} was trained: {difference}"
    if records.space:  # a trial, whose name and values are those of the search
        return UserError(f"The config of the search {change}; choose another workdir for the search.")
    return UserError(
        f'The row "{run.row.name}" {change}; rename the row, choose another workdir, or remove that '
        "directory and its record."
    )
