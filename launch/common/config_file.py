"""Loading of `--config=FILE.py[:ARGUMENT=VALUE,...]`, and likewise of `--sweep` and `--search`."""

import dataclasses
import difflib
import inspect
import pathlib
import runpy
import typing
from collections.abc import Callable, Mapping
from typing import Any, Literal

from ml_collections import ConfigDict

from flax_googlenet.errors import UserError, did_you_mean


@dataclasses.dataclass(frozen=True)
class _Kind:
    """A kind of file.

    Attributes:
      noun: what it is.
      flag: the flag that names it.
      function: the function that it defines.
      directory: where the files are.
      example: one of them.
    """

    noun: str
    flag: str
    function: str
    directory: str
    example: str


_CONFIG = _Kind("config", "--config", "get_config", "configs", "configs/mnist_sample.py")
_SWEEP = _Kind("sweep", "--sweep", "get_sweep", "configs/sweeps", "configs/sweeps/aux_heads.py")
_SEARCH = _Kind("search", "--search", "get_search", "configs/searches", "configs/searches/optimizer.py")


def load(path: str) -> dict[str, Any]:
    """Return the keys that `get_config` of a file sets.

    `DEFINE_config_file` of ml_collections is not used: it passes everything after the colon
    as one positional argument, hides a missing file until the config is read, and turns
    a ValueError of `get_config` into a mistake of the command line.

    Args:
      path: FILE.py, FILE.py:ARGUMENT=VALUE,... or, if there is only one argument that is not keyword-only,
        FILE.py:VALUE for that one.

    Raises:
      UserError: if the file is missing, not valid Python or without a `get_config` that
        returns a config. Other errors in the file keep their traceback.
    """
    settings: dict[str, Any] = ConfigDict(_call(path, _CONFIG, ConfigDict, Mapping)).to_dict()
    return settings


def load_sweep(path: str) -> Any:
    """Return what `get_sweep` of a file returns, a `Sweep`.

    Args:
      path: as for `load`.

    Raises:
      UserError: as `load` does.
    """
    from flax_googlenet.sweeps import Sweep  # imports the training loop, which commands without sweeps spare

    return _call(path, _SWEEP, Sweep)


def load_search(path: str) -> Any:
    """Return what `get_search` of a file returns, a `Search`.

    Args:
      path: as for `load`.

    Raises:
      UserError: as `load` does.
    """
    from flax_googlenet.sweeps import Search  # as for `load_sweep`

    return _call(path, _SEARCH, Search)


def path_of(base: str) -> str:
    """Return the path of the config that a sweep or a search names.

    >>> path_of("imagenet:bn"), path_of("own/photos.py:size=32")
    ('configs/imagenet.py:bn', 'own/photos.py:size=32')
    """
    name, colon, arguments = base.partition(":")
    return base if name.endswith(".py") else f"{_CONFIG.directory}/{name}.py{colon}{arguments}"


def _call(path: str, kind: _Kind, *types: type) -> Any:
    """Call the function of a file with the arguments of a path, and check the type of what it returns."""
    name, _, listed = path.partition(":")
    file = pathlib.Path(name)
    if not file.is_file():
        raise UserError(
            f"There is no {kind.noun} file {name or 'without a name'}; {_suggest_file(file, kind)}"
        )
    if file.suffix != ".py":
        raise UserError(f"{name} is not a Python file; a {kind.noun} is a .py file with {kind.function}().")
    try:
        function = runpy.run_path(name, run_name=f"{kind.noun}_file").get(kind.function)
    except SyntaxError as error:
        raise UserError(f"{error.filename}, line {error.lineno}, is not valid Python: {error.msg}.") from None
    if not callable(function):
        raise UserError(f"{name} has no function {kind.function}(); see {kind.example}.")
    arguments = _arguments(name, listed, function, kind)
    for argument, hint in typing.get_type_hints(function).items():
        choices = typing.get_args(hint) if typing.get_origin(hint) is Literal else ()
        if choices and argument in arguments and arguments[argument] not in choices:
            chosen = arguments[argument]
            raise UserError(
                f'The argument "{argument}" of {name} is "{chosen}"; {did_you_mean(chosen, choices)}'
            )
    value = function(**arguments)
    if not isinstance(value, types):
        returned = "nothing" if value is None else f"a {type(value).__name__}"
        raise UserError(
            f"{kind.function}() of {name} returns {returned}; it must return a {types[0].__name__}."
        )
    return value


def _suggest_file(file: pathlib.Path, kind: _Kind) -> str:
    configs = sorted(pathlib.Path(kind.directory).glob("*.py"))
    path_by_stem = {path.stem: str(path) for path in (*sorted(file.parent.glob("*.py")), *configs)}
    matches = difflib.get_close_matches(file.stem, path_by_stem, n=1, cutoff=0.5)
    if matches:
        return f'did you mean "{path_by_stem[matches[0]]}"?'
    if not configs:
        return f"give the path of a .py file with {kind.function}()."
    return f"choose from {', '.join(map(str, configs))}."


def _arguments(name: str, listed: str, function: Callable[..., Any], kind: _Kind) -> dict[str, str]:
    parameters = inspect.signature(function).parameters
    unnamed = [key for key, parameter in parameters.items() if parameter.kind != parameter.KEYWORD_ONLY]
    if len(unnamed) == 1 and listed and not {"=", ","} & {*listed} and listed not in parameters:
        return {unnamed[0]: listed}
    arguments = dict(argument.partition("=")[::2] for argument in listed.split(",") if argument)
    for argument, value in arguments.items():
        if argument not in parameters:
            hint = did_you_mean(argument, parameters) if parameters else f'leave out ":{listed}".'
            raise UserError(f'{name} takes no argument "{argument}"; {hint}')
        if not value:
            raise UserError(f'The argument "{argument}" of {name} has no value; write {argument}=VALUE.')
    for argument, parameter in parameters.items():
        if parameter.default is parameter.empty and argument not in arguments:
            raise UserError(f"{name} needs an argument; write {kind.flag}={name}:{argument}=VALUE.")
    return arguments
