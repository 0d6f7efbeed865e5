"""Loading of `--config=FILE.py[:ARGUMENT=VALUE,...]`."""

import difflib
import inspect
import pathlib
import runpy
from collections.abc import Callable, Mapping
from typing import Any

from ml_collections import ConfigDict

from flax_googlenet.errors import UserError, did_you_mean


def load(path: str) -> dict[str, Any]:
    """Return the keys that `get_config` of a file sets.

    `DEFINE_config_file` of ml_collections is not used: it passes everything after the colon
    as one positional argument, hides a missing file until the config is read, and turns
    a ValueError of `get_config` into a mistake of the command line.

    Args:
      path: FILE.py, FILE.py:ARGUMENT=VALUE,... or, if there is only one argument, FILE.py:VALUE.

    Raises:
      UserError: if the file is missing, not valid Python or without a `get_config` that
        returns a config. Other errors in the file keep their traceback.
    """
    name, _, listed = path.partition(":")
    file = pathlib.Path(name)
    if not file.is_file():
        raise UserError(f"There is no config file {name or 'without a name'}; {_suggest_file(file)}")
    if file.suffix != ".py":
        raise UserError(f"{name} is not a Python file; a config is a .py file with get_config().")
    try:
        get_config = runpy.run_path(name, run_name="config_file").get("get_config")
    except SyntaxError as error:
        raise UserError(f"{error.filename}, line {error.lineno}, is not valid Python: {error.msg}.") from None
    if not callable(get_config):
        raise UserError(f"{name} has no function get_config(); see configs/mnist_sample.py.")
    config = get_config(**_arguments(name, listed, get_config))
    if not isinstance(config, Mapping | ConfigDict):
        returned = "nothing" if config is None else f"a {type(config).__name__}"
        raise UserError(f"get_config() of {name} returns {returned}; it must return a ConfigDict.")
    settings: dict[str, Any] = ConfigDict(config).to_dict()
    return settings


def _suggest_file(file: pathlib.Path) -> str:
    configs = sorted(pathlib.Path("configs").glob("*.py"))
    path_by_stem = {path.stem: str(path) for path in (*sorted(file.parent.glob("*.py")), *configs)}
    matches = difflib.get_close_matches(file.stem, path_by_stem, n=1, cutoff=0.5)
    if matches:
        return f'did you mean "{path_by_stem[matches[0]]}"?'
    if not configs:
        return "give the path of a .py file with get_config()."
    return f"choose from {', '.join(map(str, configs))}."


def _arguments(name: str, listed: str, get_config: Callable[..., Any]) -> dict[str, str]:
    parameters = inspect.signature(get_config).parameters
    if len(parameters) == 1 and listed and "=" not in listed and listed not in parameters:
        return {next(iter(parameters)): listed}
    arguments = dict(argument.partition("=")[::2] for argument in listed.split(",") if argument)
    for argument, value in arguments.items():
        if argument not in parameters:
            hint = did_you_mean(argument, parameters) if parameters else f'leave out ":{listed}".'
            raise UserError(f'{name} takes no argument "{argument}"; {hint}')
        if not value:
            raise UserError(f'The argument "{argument}" of {name} has no value; write {argument}=VALUE.')
    for argument, parameter in parameters.items():
        if parameter.default is parameter.empty and argument not in arguments:
            raise UserError(f"{name} needs an argument; write --config={name}:{argument}=VALUE.")
    return arguments
