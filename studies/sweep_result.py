"""Keep the records of a complete sweep as a result file.

  python -m studies.sweep_result --workdir=DIR --out=benchmarks/results/aux_heads_and_reductions_digits.json

`python -m benchmarks.tables` makes a table of it.
"""

import json
from collections.abc import Mapping, Sequence
from typing import Any

from absl import flags

from benchmarks.conditions import conditions, write_result
from flax_googlenet.errors import UserError
from flax_googlenet.paths import local_path
from launch.common import command

_WORKDIR = flags.DEFINE_string("workdir", None, "The workdir of a complete sweep.", required=True)
_OUT = flags.DEFINE_string("out", None, "JSON file for the result.", required=True)

# What a machine and its load decide, and names that only the workdir explains.
LEFT_OUT = ("images_per_second", "digest", "workdir")


def main(arguments: Sequence[str]) -> dict[str, Any]:
    """Write the result file and return the number of its runs."""
    command.refuse_arguments(arguments)
    file = local_path(_WORKDIR.value) / "results.json"
    try:
        sweep = json.loads(file.read_text(encoding="utf-8"))
    except FileNotFoundError as error:
        raise UserError(f"There is no {file}; --workdir must be that of a sweep.") from error
    write_result(_OUT.value, {**complete(sweep, str(file)), "conditions": conditions()})
    return {"runs": len(sweep["runs"])}


def complete(sweep: Mapping[str, Any], file: str) -> dict[str, Any]:
    """Return the content of results.json without what a repetition would not find again.

    Args:
      sweep: the content.
      file: its path, for the message.

    Raises:
      UserError: if a row lacks a run that another row has, or one has failed.
    """
    seeds = {run["seed"] for run in sweep["runs"]}
    done = {(run["row"], run["seed"]) for run in sweep["runs"] if run["status"] == "done"}
    if missing := sorted({(row, seed) for row in sweep["notes"] for seed in seeds} - done):
        row, seed = missing[0]
        raise UserError(f"{file} lacks {row} with seed {seed}; the same launch.sweep trains what is missing.")
    runs = [{name: value for name, value in run.items() if name not in LEFT_OUT} for run in sweep["runs"]]
    return {**sweep, "runs": runs}


if __name__ == "__main__":
    command.run(main)
