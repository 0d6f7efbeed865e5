"""The runs of sweeps and of single workdirs, read from the files that they left."""

import dataclasses
import json
import os
from collections.abc import Mapping, Sequence
from typing import Any

from etils import epath
from ml_collections import FrozenConfigDict

from flax_googlenet import checkpoints
from flax_googlenet.config import flatten, resolve, to_json_dict
from flax_googlenet.errors import UserError
from flax_googlenet.evaluation.report import RESULTS_FILE
from flax_googlenet.paths import explaining_bucket_errors, resolve_path
from flax_googlenet.sweeps.records import DONE, EVALUATION, FAILED, PRUNED, RESULTS
from flax_googlenet.training.reporting.goodput import read_conditions, read_summary
from flax_googlenet.training.reporting.reporter import CONFIG_FILE, METRICS_FILE

UNFINISHED = "unfinished"

_RESULT = ("top1", "top5", "loss", "images_per_second")
_OF_EVALUATION = ("ece", "top1_aux_4a", "top1_aux_4d")


@dataclasses.dataclass(frozen=True)
class RunData:
    """What a run left in its workdir.

    Attributes:
      workdir: its workdir.
      seed: value of `config.seed`.
      status: "done", "failed", "pruned" or "unfinished".
      error: why it failed.
      step: last step of a pruned run.
      config: its resolved config; None if it failed before it recorded one.
      figures: "top1", "top5", "loss", "ece", "top1_aux_4a", "top1_aux_4d", "images_per_second" and
        "seconds", as far as they are known. Only a complete run has any.
      history: records of metrics.jsonl.
      classes: "name", "accuracy" and "examples" per class, of the evaluation of the last checkpoint.
      confusion: counts by true and predicted class of that evaluation; empty for many classes.
      conditions: "device", "commit" and "versions", as far as they are known.
    """

    workdir: str
    seed: int
    status: str
    error: str = ""
    step: int = 0
    config: FrozenConfigDict | None = None
    figures: Mapping[str, float] = dataclasses.field(default_factory=dict)
    history: Sequence[Mapping[str, float]] = ()
    classes: Sequence[Mapping[str, Any]] = ()
    confusion: Sequence[Sequence[int]] = ()
    conditions: Mapping[str, Any] = dataclasses.field(default_factory=dict)


@dataclasses.dataclass(frozen=True)
class RowData:
    """Runs that differ in their seeds only.

    Attributes:
      name: name of the row, or the workdir of its first run.
      note: what the row shows.
      runs: its runs.
    """

    name: str
    note: str
    runs: tuple[RunData, ...]


def read_rows(workdirs: Sequence[str | os.PathLike]) -> tuple[RowData, ...]:
    """Read the rows of sweeps, and runs of their own, of which those that differ in the seed only are a row.

    Args:
      workdirs: directories of sweeps or of runs. The first row of the first one is the reference.

    Raises:
      UserError: if a directory is neither, is named twice, or has no run.
    """
    roots = [resolve_path(workdir) for workdir in workdirs]
    if not roots:
        raise UserError("There is no workdir to report on; name at least one.")
    for number, root in enumerate(roots):
        if root in roots[:number]:
            raise UserError(f"{root} is named twice; name it once.")
    names = _short_names(roots)
    rows: list[RowData] = []
    alone: dict[str, list[RunData]] = {}  # digest of the config without its seed -> runs
    places: dict[str, int] = {}
    for root, name in zip(roots, names, strict=True):
        with explaining_bucket_errors(root):
            content = _sweep_content(root)
            if content is not None:
                rows += _read_sweep(root, content, f"{name}/" if len(roots) > 1 else "")
                continue
            run = _read_run(root)
        key = _key_without_seed(run)
        if key in alone and run.seed not in [other.seed for other in alone[key]]:
            alone[key].append(run)
            rows[places[key]] = dataclasses.replace(rows[places[key]], runs=tuple(alone[key]))
            continue
        alone[key], places[key] = [run], len(rows)
        rows.append(RowData(name, "", (run,)))
    return tuple(rows)


def _short_names(roots: Sequence[epath.Path]) -> list[str]:
    """Return the shortest ends of paths that tell them apart."""
    depth = 1
    while True:
        names = ["/".join(root.parts[-depth:]) for root in roots]
        if len(set(names)) == len(names):
            return names
        depth += 1


def _sweep_content(root: epath.Path) -> dict[str, Any] | None:
    """Return the content of results.json of a sweep; None if the directory has none.

    Raises:
      UserError: if it is corrupt, or the sweep has no run.
    """
    path = root / RESULTS
    if not path.exists():
        return None
    try:
        content: dict[str, Any] = json.loads(path.read_text())
        records = content["runs"]
        complete = all({"row", "seed", "status", "workdir"} <= record.keys() for record in records)
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise UserError(
            f"{path} is not the file of a sweep; name the directory of a sweep or of a run."
        ) from error
    if not complete:
        raise UserError(f"{path} is corrupt; remove it, and repeat the command of the sweep.")
    if not records:
        raise UserError(f"The sweep in {root} has no run yet; wait until its first run is complete.")
    return content


def _read_sweep(root: epath.Path, content: Mapping[str, Any], prefix: str) -> list[RowData]:
    notes: Mapping[str, str] = content.get("notes", {})
    records = content["runs"]
    names = [content.get("reference", records[0]["row"]), *notes, *(record["row"] for record in records)]
    rows = []
    for name in dict.fromkeys(names):
        runs = [_read_recorded(root, record) for record in records if record["row"] == name]
        rows.append(RowData(prefix + name, notes.get(name, ""), tuple(sorted(runs, key=lambda r: r.seed))))
    return rows


def _read_recorded(root: epath.Path, record: Mapping[str, Any]) -> RunData:
    """Return a run of a sweep."""
    workdir = root / record["workdir"]
    description, config, history = _read_files(workdir)
    run = RunData(
        str(workdir),
        record["seed"],
        record["status"] if record["status"] in (DONE, FAILED, PRUNED) else UNFINISHED,
        error=record.get("error", ""),
        step=record.get("step", 0),
        config=config,
        history=history,
        conditions=_conditions(workdir, description, record),
    )
    return _with_figures(run, workdir, record) if run.status == DONE else run


def _read_run(workdir: epath.Path) -> RunData:
    """Return a run that no sweep has recorded.

    Raises:
      UserError: if the directory is not that of a run.
    """
    if not workdir.is_dir():
        raise UserError(f"There is no directory {workdir}; name the directory of a sweep or of a run.")
    description, config, history = _read_files(workdir)
    if config is None:
        raise UserError(
            f"{workdir} is neither the directory of a sweep nor of a run, since it has no {RESULTS} and no "
            f"{CONFIG_FILE}; name another one."
        )
    result = description.result if description else {}
    run = RunData(
        str(workdir),
        config.seed,
        DONE if result else UNFINISHED,
        config=config,
        history=history,
        conditions=_conditions(workdir, description),
    )
    return _with_figures(run, workdir, result) if result else run


def _read_files(
    workdir: epath.Path,
) -> tuple[checkpoints.Description | None, FrozenConfigDict | None, Sequence[Mapping[str, float]]]:
    """Return the last checkpoint's description, the config and the records of metrics.jsonl of a run.

    The files of the run are further than its last checkpoint, if it is unfinished.
    """
    latest = checkpoints.last_described(workdir)
    description = checkpoints.describe(latest) if latest is not None else None
    config = description.config if description else _read_json(workdir / CONFIG_FILE)
    metrics = workdir / METRICS_FILE
    history: Sequence[Mapping[str, float]] = description.history if description else ()
    if metrics.exists():
        lines = metrics.read_text().split("\n")[:-1]  # a run that is under way may have written half a line
        try:
            history = [json.loads(line) for line in lines]
        except ValueError as error:
            raise UserError(f"{metrics} is corrupt; remove it.") from error
    return description, resolve(config) if config else None, history


def _conditions(
    workdir: epath.Path, description: checkpoints.Description | None, record: Mapping[str, Any] | None = None
) -> dict[str, Any]:
    """Return the conditions of a run: those in its record, else of its last process, else of its checkpoint.

    A run of an earlier version recorded only the versions, in its checkpoint.
    """
    checkpoint = {"versions": description.versions} if description else {}
    sources = (checkpoint, read_conditions(workdir), record or {})
    return {
        name: source[name]
        for name in ("device", "commit", "versions")
        for source in sources
        if source.get(name)
    }


def _with_figures(run: RunData, workdir: epath.Path, result: Mapping[str, Any]) -> RunData:
    """Return a complete run with its figures, those of its last evaluation among them."""
    figures = {name: float(result[name]) for name in _RESULT if name in result}
    if wall := read_summary(workdir).get("wall_seconds"):
        figures["seconds"] = wall
    report = _read_json(workdir / EVALUATION / RESULTS_FILE)
    figures |= {name: report[name] for name in _OF_EVALUATION if name in report}
    return dataclasses.replace(
        run, figures=figures, classes=report.get("classes", ()), confusion=report.get("confusion", ())
    )


def _read_json(path: epath.Path) -> dict[str, Any]:
    """Return the content of a file of JSON; {} if there is none.

    Raises:
      UserError: if it is corrupt.
    """
    if not path.exists():
        return {}
    try:
        content: dict[str, Any] = json.loads(path.read_text())
    except ValueError as error:
        raise UserError(f"{path} is corrupt; remove it.") from error
    return content


def _key_without_seed(run: RunData) -> str:
    assert run.config is not None
    flat = flatten(to_json_dict(run.config))
    return json.dumps({key: value for key, value in flat.items() if key != "seed"}, sort_keys=True)
