"""Runs as the tasks of a Slurm array, and a job after them."""

import os
import pathlib
import shlex
import subprocess
from collections.abc import Sequence

import launch
from flax_googlenet.errors import UserError

_SCRIPT = pathlib.Path(launch.__file__).parent / "slurm/run.sbatch"

# Run line number $1 of the file $2, counted from 0, in the place of the shell, so that signals reach it.
_RUN_LINE = 'eval "exec $(sed -n "$((1 + $1))p" "$2")"'


def submit(
    commands: Sequence[str], then: str, directory: pathlib.Path, options: Sequence[str]
) -> tuple[str, str]:
    """Submit commands as the tasks of an array, and one more that runs when all tasks have ended.

    Args:
      commands: a command per task, for the directory that this process is in.
      then: the last command.
      directory: where the commands and the logs are kept, on a file system that the nodes share.
      options: of sbatch, for all jobs.

    Returns:
      The numbers of the array and of the last job.

    Raises:
      UserError: if sbatch is not there, or refuses.
    """
    logs = directory / "logs"
    logs.mkdir(parents=True, exist_ok=True)
    earlier = len(list(directory.glob("commands_*.txt")))
    file = directory / f"commands_{earlier + 1}.txt"  # the tasks of an earlier array may still read theirs
    file.write_text("".join(f"{command}\n" for command in commands))
    array = (f"--array=0-{len(commands) - 1}", f"--output={logs}/slurm-%A_%a.out")
    number = _sbatch([*options, *array], ["bash", "-c", _RUN_LINE, "run", "%a", str(file)], logs)
    # Tasks that are requeued have not ended. A task that failed is trained again by the last command.
    after = (f"--dependency=afterany:{number}", f"--output={logs}/slurm-%j.out")
    return number, _sbatch([*options, *after], shlex.split(then), logs)


def _sbatch(options: Sequence[str], command: Sequence[str], logs: pathlib.Path) -> str:
    """Submit a command, and return the number of its job."""
    words = ["sbatch", "--parsable", *options, str(_SCRIPT), *command]
    try:
        process = subprocess.run(
            words, env={**os.environ, "LOGS": str(logs)}, capture_output=True, text=True, check=False
        )
    except FileNotFoundError as error:
        raise UserError(
            "There is no sbatch here; run the command on a machine that submits jobs to Slurm."
        ) from error
    if process.returncode:
        reason = process.stderr.strip().splitlines()[-1].removeprefix("sbatch: error: ")
        raise UserError(f"sbatch refused {shlex.join([*options])}: {reason.rstrip('.')}; change --sbatch.")
    return process.stdout.strip().partition(";")[0]  # behind it, the name of the cluster
