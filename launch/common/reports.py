"""Reports of runs, with the commands that repeat them."""

import logging
import shlex
from collections.abc import Sequence

from etils import epath

from flax_googlenet.errors import UserError
from flax_googlenet.sweeps.report import Report, write_report
from flax_googlenet.sweeps.report.reading import RunData

logger = logging.getLogger(__name__)


def write(workdirs: Sequence[str], out: str | None = None) -> Report:
    """Write a report.

    Args:
      workdirs: directories of sweeps or of runs.
      out: directory of the report; `report` in the first workdir by default.

    Raises:
      UserError: if there is nothing to report on, or a package is missing.
    """
    return write_report(workdirs, command_of, out)


def write_or_warn(workdir: str) -> str | None:
    """Write the report of a sweep and return its page; None, with a warning, if that is not possible."""
    try:
        return str(write([workdir]).page)
    except UserError as error:
        logger.warning(f"the sweep has no report: {error} Then run python -m launch.report.")
        return None


def command_of(config: epath.Path, run: RunData) -> str:
    """Return the command that repeats a run in a new workdir.

    Args:
      config: the file with the config of its row.
      run: the run.
    """
    flags = [f"--config={config}", f"--workdir={run.workdir}_again", f"--config.seed={run.seed}"]
    return shlex.join(["python", "-m", "launch.train", *flags])
