"""Exceptions whose messages are written for users."""

import difflib
import importlib
from collections.abc import Iterable


class UserError(Exception):
    """A mistake of the user, not of the program.

    The message is one sentence that names the culprit and the way out. Commands print it
    without a traceback and exit with status 1.
    """


class CorruptImageError(UserError):
    """An image that cannot be read or decoded. `config.data.on_error` says whether to skip it."""


class StopTraining(Exception):  # noqa: N818, not an error
    """Ends a run after an evaluation, for the reason that its message gives."""


def did_you_mean(name: str, known: Iterable[str]) -> str:
    """Return the end of a sentence about an unknown name, which suggests the nearest known name or lists all.

    >>> did_you_mean("optimiser", ["optimizer", "model"])
    'did you mean "optimizer"?'
    >>> did_you_mean("x", ["optimizer", "model"])
    'choose from "model", "optimizer".'
    >>> did_you_mean("x", [])
    'there is nothing to choose from.'
    """
    names = sorted(known)
    if not names:
        return "there is nothing to choose from."
    matches = difflib.get_close_matches(name, names, n=1, cutoff=0.5)
    if matches:
        return f'did you mean "{matches[0]}"?'
    return "choose from " + ", ".join(f'"{known_name}"' for known_name in names) + "."


def missing_package(purpose: str, package: str, extra: str, alternative: str = "") -> UserError:
    """Return the error for a package that an optional extra of this project installs.

    >>> str(missing_package("Reading a.onnx", "onnx", "onnx"))
    'Reading a.onnx needs the package onnx; install it with pip install -e ".[onnx]" in a clone.'

    Args:
      purpose: what needs the package, as the subject of the sentence.
      package: the name under which Python imports the package.
      extra: the extra in pyproject.toml.
      alternative: another way out, such as "use a .safetensors file".
    """
    ways_out = [f"install it with {install_command(extra)}", *filter(None, [alternative])]
    return UserError(f"{purpose} needs the package {package}; {', or '.join(ways_out)}.")


def check_packages(purpose: str, packages: Iterable[str], extra: str) -> None:
    """Check that packages can be imported.

    Args:
      purpose, extra: as for `missing_package`.
      packages: names under which Python imports them.

    Raises:
      UserError: if one is missing, or a package that it needs.
    """
    for package in packages:
        try:
            importlib.import_module(package)
        except ImportError as error:
            missing = (error.name or package).partition(".")[0]
            raise missing_package(purpose, missing, extra) from error


def install_command(extra: str) -> str:
    """Return the command that installs an extra of this project.

    >>> install_command("gcs")
    'pip install -e ".[gcs]" in a clone'
    """
    return f'pip install -e ".[{extra}]" in a clone'
