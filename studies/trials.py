"""Results of trials in a workdir, one file each, so that a killed study continues where it was."""

import json
import pathlib
from collections.abc import Callable, Collection, Mapping, Sequence
from typing import Any

from etils import epath

from benchmarks.conditions import REPOSITORY, commit_of
from flax_googlenet.errors import UserError, did_you_mean
from flax_googlenet.paths import replace_file


class Trials:
    """The trials of a study, one per row and seed, in files `ROW/seed_N.json` of its workdir."""

    def __init__(self, workdir: pathlib.Path) -> None:
        """Use the trials in a directory, which exists and is locked."""
        self._workdir = workdir

    def get(
        self, row: str, seed: int, settings: Mapping[str, Any], run: Callable[[], dict[str, Any]]
    ) -> dict[str, Any]:
        """Return the result of a trial. If the workdir does not have it, run the trial and write its file.

        Args:
          row, seed: identify the trial.
          settings: all that determines its result, by name.
          run: returns the result, ready for JSON.

        Returns:
          The result, with the "commit" that it was run with.

        Raises:
          UserError: if the workdir has the trial with other settings, or the file cannot be written.
        """
        file = self._workdir / row / f"seed_{seed}.json"
        expected = json.loads(json.dumps(settings))
        if file.exists():
            recorded = _read(file)
            _check_same(file, recorded["settings"], expected)
            found: dict[str, Any] = recorded["result"]
            return found
        result = {**run(), "commit": commit_of(REPOSITORY)}
        try:
            file.parent.mkdir(parents=True, exist_ok=True)
            content = json.dumps({"settings": expected, "result": result}, indent=1) + "\n"
            replace_file(epath.Path(file), content.encode())
        except OSError as error:
            raise UserError(f"Cannot write {file}: {error.strerror}; choose another --workdir.") from error
        return result


def chosen(flag: str, names: Sequence[str], choices: Collection[str]) -> list[str]:
    """Return the names that a flag lists, without repetitions.

    Raises:
      UserError: if there are none, or a name is not one of the choices.
    """
    if not names:
        raise UserError(f"--{flag} is empty; {did_you_mean('', choices)}")
    for name in names:
        if name not in choices:
            raise UserError(f'--{flag} has no choice "{name}"; {did_you_mean(name, choices)}')
    return list(dict.fromkeys(names))


def _read(file: pathlib.Path) -> dict[str, Any]:
    try:
        content: dict[str, Any] = json.loads(file.read_text(encoding="utf-8"))
        return {key: content[key] for key in ("settings", "result")}
    except (ValueError, KeyError, TypeError) as error:
        raise UserError(
            f"{file} is corrupt; remove it, and the same command runs the trial again."
        ) from error


def _check_same(file: pathlib.Path, recorded: Mapping[str, Any], expected: Mapping[str, Any]) -> None:
    for name in {**recorded, **expected}:
        there, here = recorded.get(name), expected.get(name)
        if there != here:
            raise UserError(
                f"{file} is a trial with other settings: {name} is {there!r} there and {here!r} here; "
                "choose another --workdir."
            )
