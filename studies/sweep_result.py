"""Keep the records of a complete sweep as a result file.

  python -m studies.sweep_result --workdir=DIR --out=benchmarks/results/aux_heads_and_reductions_digits.json

`python -m benchmarks.tables` makes a table of it.
"""

import json
from collections.abc import Sequence
from typing import Any

from absl import flags

from benchmarks.conditions import conditions, write_result
from flax_googlenet.errors import UserError
from flax_googlenet.paths import local_path
from launch.common import command
from studies.sweep_records import complete

_WORKDIR = flags.DEFINE_string("workdir", None, "The workdir of a complete sweep.", required=True)
_OUT = flags.DEFINE_string("out", None, "JSON file for the result.", required=True)


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


if __name__ == "__main__":
    command.run(main)
