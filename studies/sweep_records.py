"""The records of a complete sweep, without what only its workdir explains."""

from collections.abc import Mapping
from typing import Any

from flax_googlenet.errors import UserError

# What a machine and its load decide, and names that only the workdir explains.
LEFT_OUT = ("images_per_second", "digest", "workdir")


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
        raise UserError(
            f"{file} has no complete run of {row} with seed {seed}; the same launch.sweep command trains it."
        )
    runs = [{name: value for name, value in run.items() if name not in LEFT_OUT} for run in sweep["runs"]]
    return {**sweep, "runs": runs}
