"""The files of a report."""

import dataclasses
import os
import re
from collections.abc import Callable, Sequence

from etils import epath

from flax_googlenet.errors import UserError, check_packages
from flax_googlenet.paths import explaining_bucket_errors, make_directory, resolve_path
from flax_googlenet.sweeps.records import config_file
from flax_googlenet.sweeps.report import page, tables
from flax_googlenet.sweeps.report.reading import RunData, read_rows
from flax_googlenet.sweeps.report.results import RowResult, compare_rows

DIRECTORY, PAGE = "report", "index.html"


@dataclasses.dataclass(frozen=True)
class Report:
    """A report that was written.

    Attributes:
      page: its page.
      runs: number of runs on it.
    """

    page: epath.Path
    runs: int


# Returns the command that repeats a run: takes the file with the config of its row, and the run.
CommandOf = Callable[[epath.Path, RunData], str]


def write_report(
    workdirs: Sequence[str | os.PathLike], command_of: CommandOf, out: str | os.PathLike | None = None
) -> Report:
    """Compare the rows of sweeps, and single runs, on a page and as Markdown and CSV.

    The same runs give the same files, byte for byte: index.html, report.md, rows.csv, runs.csv, and for each
    row a config that repeats it.

    Args:
      workdirs: directories of sweeps or of runs. The first row of the first one is the reference.
      command_of: returns the command that repeats a run.
      out: directory for the files; `report` in the first workdir by default.

    Raises:
      UserError: if a directory is that of no sweep or run, `out` cannot be written, or a package is missing.
    """
    check_packages("The page of a report", ("jinja2", "plotly.offline"), "report")
    results = compare_rows(read_rows(workdirs))
    directory = resolve_path(out) if out is not None else resolve_path(workdirs[0]) / DIRECTORY
    names = _file_names(results)
    configs = {name: page.config_of(result) for name, result in zip(names, results, strict=True)}
    commands = {
        result.data.name: [
            command_of(directory / "configs" / name, run) for run in result.data.runs if configs[name]
        ]
        for name, result in zip(names, results, strict=True)
    }
    files = {
        PAGE: page.to_html(results, commands),
        "report.md": tables.to_markdown(results),
        "rows.csv": tables.rows_to_csv(results),
        "runs.csv": tables.runs_to_csv(results),
    }
    for result, (name, config) in zip(results, configs.items(), strict=True):
        if config:
            row = f"the row {result.data.name}, which a report wrote"
            files[f"configs/{name}"] = config_file(config, row)
    try:
        with explaining_bucket_errors(directory, "write"):
            make_directory(directory)
            make_directory(directory / "configs")
            for name, text in files.items():
                (directory / name).write_text(text)
    except OSError as error:
        raise UserError(f"Cannot write to {directory}: {error.strerror}; choose another out.") from error
    return Report(directory / PAGE, sum(len(result.data.runs) for result in results))


def _file_names(results: Sequence[RowResult]) -> list[str]:
    """Return a name for the config of each row, which may be that of several directories."""
    names: list[str] = []
    for result in results:
        name = re.sub(r"[^A-Za-z0-9_.-]+", "_", result.data.name) or "row"
        while f"{name}.py" in names:
            name += "_"
        names.append(f"{name}.py")
    return names
