"""Compare the rows of a sweep, or any runs, on a page that needs no network.

  python -m launch.report --workdir=SWEEP
  python -m launch.report --workdir=RUN_A,RUN_B --out=DIR

The first row of the first workdir is the reference. Runs that differ in their seeds only are a row. The page
is index.html. Beside it are its numbers as report.md, rows.csv and runs.csv, and a config that repeats each
row. A run that no sweep has trained has accuracies per class after
python -m launch.evaluate --checkpoint=RUN --out=RUN/evaluation.
"""

from collections.abc import Sequence
from typing import Any

from absl import flags

from launch.common import command, reports

_WORKDIR = flags.DEFINE_multi_string(
    "workdir", None, "Directories of sweeps or runs, as A,B,C, or a flag for each.", required=True
)
_OUT = flags.DEFINE_string("out", None, "Directory of the report; by default, report in the first workdir.")


def main(arguments: Sequence[str]) -> dict[str, Any]:
    command.refuse_arguments(arguments)
    workdirs = [name for value in _WORKDIR.value for name in value.split(",") if name]
    report = reports.write(workdirs, _OUT.value)
    return {"runs": report.runs, "report": str(report.page)}


if __name__ == "__main__":
    command.run(main)
