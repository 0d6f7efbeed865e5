r"""Compare the rows of a sweep over several seeds, or search for the best values of config keys.

  python -m launch.sweep --sweep=configs/sweeps/aux_heads.py --seeds=3 --workdir=DIR
  python -m launch.sweep --sweep=configs/sweeps/aux_heads.py:base=mnist_sample,rows=quick --workdir=DIR
  python -m launch.sweep --sweep=configs/sweeps/paper.py:base=imagenet --workdir=DIR --dry_run \
      --config.data.path=DIR
  python -m launch.sweep --sweep=configs/sweeps/paper.py:base=imagenet --workdir=DIR --seeds=3 \
      --executor=slurm --sbatch="--partition=gpu --time=24:00:00" --config.data.path=DIR
  python -m launch.sweep --search=configs/searches/optimizer.py:base=mnist_sample --trials=20 --workdir=DIR

A sweep is a file with get_sweep(), which names a base config in configs/ and rows of overrides. The runs are
DIR/ROW/seed_N; DIR/results.json has a record per run, DIR/summary.md compares the rows, and
DIR/report/index.html is their report. --config.KEY applies to all rows. The same command resumes a stopped
sweep and skips the runs that are complete. At SIGTERM or SIGUSR1, the run that is under way saves a
checkpoint, and the command ends with status 75.

With --executor=slurm, the incomplete runs are the tasks of a job array, each of which is requeued by itself.
A job after them evaluates and compares the runs. The command ends when both are submitted.

A search is a file with get_search(), which names a base config and the values of the keys that vary. Optuna
chooses the values of each trial, and ends trials that are worse than the median. The trials are
DIR/trial_NNN; DIR/summary.md lists them, and DIR/best.py is the config of the best one. The same command goes
on with a stopped search, and with more --trials. It needs the extra search.
"""

import pathlib
import shlex
import sys
from collections.abc import Mapping, Sequence
from typing import Any

from absl import flags

from flax_googlenet.config import DEFAULTS, flatten
from flax_googlenet.config.kinds import literal
from flax_googlenet.distributed import preemption
from flax_googlenet.errors import UserError
from flax_googlenet.paths import is_remote
from flax_googlenet.sweeps import Plan, Run, execute, expand, incomplete, run_search
from flax_googlenet.sweeps.records import DONE, FAILED, PRUNED
from launch.common import command, config_file, interrupts, reports, slurm

_SWEEP = flags.DEFINE_string(
    "sweep", "", "FILE.py[:ARGUMENT=VALUE,...], a file with get_sweep() and its arguments."
)
_SEARCH = flags.DEFINE_string(
    "search", "", "FILE.py[:ARGUMENT=VALUE,...], a file with get_search() and its arguments."
)
_TRIALS = flags.DEFINE_integer("trials", 20, "Number of trials of a search.", lower_bound=1)
_WORKDIR = flags.DEFINE_string("workdir", None, "Directory of the sweep or the search.", required=True)
_SEEDS = flags.DEFINE_integer("seeds", 1, "Number of runs per row, with successive seeds.", lower_bound=1)
_DRY_RUN = flags.DEFINE_bool("dry_run", False, "Only print the command of launch.train for every run.")
_EXECUTOR = flags.DEFINE_enum(
    "executor", "local", ["local", "slurm"], "Train in this process, or as the tasks of a Slurm job array."
)
_SBATCH = flags.DEFINE_string(
    "sbatch",
    "",
    "Options of sbatch for the jobs of --executor=slurm, such as '--partition=gpu --time=4:00:00'.",
)


def main(arguments: Sequence[str]) -> dict[str, Any]:
    command.refuse_arguments(arguments)
    if bool(_SWEEP.value) == bool(_SEARCH.value):
        raise UserError(
            "Name one file, by --sweep=configs/sweeps/NAME.py or by --search=configs/searches/NAME.py."
        )
    interrupts.on_notice(preemption.notice)
    if _SEARCH.value:
        return _search()
    if _TRIALS.present:
        raise UserError("--trials is for --search; the runs of a sweep are its rows, each with --seeds.")
    sweep = config_file.load_sweep(_SWEEP.value)
    base, settings, changes = _settings(sweep.base)
    runs = expand(sweep, settings, changes=changes, seeds=_SEEDS.value, workdir=_WORKDIR.value)
    if _DRY_RUN.value:
        commands = [train_command(base, run) for run in runs]
        print("\n".join(commands), file=sys.stderr)
        return {"runs": len(runs), "commands": commands}
    if _EXECUTOR.value == "slurm":
        return _submit(base, runs, changes)
    outcome = execute(runs, _WORKDIR.value, show_plan=_show)
    counts = {"runs": outcome.runs, "failed": outcome.failed, "results": outcome.results}
    return {**counts, "report": reports.write_or_warn(_WORKDIR.value)}


def _search() -> dict[str, Any]:
    """Run the trials of a search."""
    refused = {
        "seeds": "a trial has the seed of the config; set it with --config.seed",
        "dry_run": "the values of a trial depend on the results of those before",
        "executor": "a trial waits for those before, and so they are trained in this process",
        "sbatch": "its trials are trained in this process",
    }
    for name, reason in refused.items():
        if flags.FLAGS[name].value != flags.FLAGS[name].default:
            raise UserError(f"--{name} is for --sweep, not for --search: {reason}; leave it out.")
    search = config_file.load_search(_SEARCH.value)
    _, settings, changes = _settings(search.base)
    outcome = run_search(search, settings, trials=_TRIALS.value, changes=changes, workdir=_WORKDIR.value)
    print(outcome.table, file=sys.stderr)
    best: Mapping[str, Any] = outcome.best or {}
    return {
        "trials": len(outcome.records),
        "complete": outcome.count(DONE),
        "pruned": outcome.count(PRUNED),
        "failed": outcome.count(FAILED),
        "best": best.get("row"),
        "top1": best.get("top1"),
        "values": best.get("values"),
        "config": outcome.config or None,
        "results": outcome.results,
        "report": reports.write_or_warn(_WORKDIR.value),
    }


def _settings(base: str) -> tuple[str, dict[str, Any], dict[str, Any]]:
    """Return the path of a base config, the keys that it sets, and those of the command line."""
    path = config_file.path_of(base)
    settings, changes = config_file.load(path), flatten(command.overrides())
    command.refuse_weights_file(str({**settings, **changes}.get("init_from", "")))
    return path, settings, changes


def _exit_status(result: Mapping[str, Any]) -> int:
    """Return that of a mistake if a run of a sweep failed, or if no trial of a search is complete."""
    failed = not result["complete"] if "trials" in result else result.get("failed")
    return command.USER_ERROR if failed else 0


def _submit(base: str, runs: Sequence[Run], changes: Mapping[str, Any]) -> dict[str, Any]:
    """Submit the incomplete runs, and a job that evaluates and compares all of them."""
    if is_remote(_WORKDIR.value):
        raise UserError(
            f"{_WORKDIR.value} is a bucket; --executor=slurm needs a directory that the nodes share, for the "
            "commands and the logs."
        )
    workdir = pathlib.Path(_WORKDIR.value).expanduser().resolve()
    missing = incomplete(runs, workdir)
    if not missing:
        return {"runs": len(runs), "submitted": 0}
    words = [
        f"--sweep={_SWEEP.value}",
        f"--seeds={_SEEDS.value}",
        f"--workdir={workdir}",
        *_flags_of(changes),
    ]
    again = shlex.join(["python", "-m", "launch.sweep", *words])
    commands = [train_command(base, run) for run in missing]
    array, last = slurm.submit(commands, again, workdir, shlex.split(_SBATCH.value))
    print(
        f"submitted {len(missing)} of {len(runs)} runs as job {array}; job {last} compares them at the end",
        file=sys.stderr,
    )
    return {"runs": len(runs), "submitted": len(missing), "array": array, "comparison": last}


def train_command(base: str, run: Run) -> str:
    """Return the command that trains a run alone.

    Args:
      base: the path of the base config, with its arguments.
      run: the run.
    """
    words = [f"--config={base}", f"--workdir={run.workdir}", *_flags_of(run.overrides)]
    return shlex.join(["python", "-m", "launch.train", *words])


def _flags_of(overrides: Mapping[str, Any]) -> list[str]:
    return [f"--config.{key}={_text(value)}" for key, value in overrides.items()]


def _text(value: Any) -> str:
    """Return a value as the command line takes it."""
    if isinstance(value, bool):
        return str(value).lower()
    return value if isinstance(value, str) else literal(value)


def after_interruption() -> str:
    """Return what the same command would do."""
    return "the same command skips the complete runs and resumes the others"


def _show(plan: Plan) -> None:
    print(f"{plan.to_markdown()}\n{plan.total()}", file=sys.stderr)


if __name__ == "__main__":
    command.run(
        main,
        sections=tuple(DEFAULTS),
        if_interrupted=after_interruption,
        exit_status=_exit_status,
    )
