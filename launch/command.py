"""What the commands share: flags, mistakes in one sentence, one JSON object as the result."""

import gc
import importlib.util
import inspect
import json
import pathlib
import re
import sys
from collections.abc import Callable, Mapping, Sequence
from typing import Any, NoReturn

from absl import app, flags, logging
from ml_collections import ConfigDict, FrozenConfigDict, config_flags

from flax_googlenet.config import DEFAULTS, flatten, resolve
from flax_googlenet.errors import UserError, did_you_mean
from launch import compilation_cache, interrupts

USER_ERROR, BAD_FLAGS = 1, 2  # exit statuses

_OVERRIDES_HELP = (
    "  --config.KEY=VALUE: another value for a key of {}; the keys are in flax_googlenet/config.py."
)


def run(
    main: Callable[[Sequence[str]], dict[str, Any]],
    *,
    config_file: str = "",
    sections: str = "",
    if_interrupted: Callable[[], str] = lambda: "the same command starts anew",
) -> None:
    """Parse the flags, run a command and end the process.

    Args:
      main: takes the arguments that are not flags and returns the result, which is
        printed as the last line of stdout.
      config_file: for commands of an experiment, the default of
        `--config=FILE.py[:ARGUMENT=VALUE,...]`; `--config.KEY=VALUE` overrides any key of it.
      sections: for commands of a checkpoint, which sections of its config can be
        overridden, separated by spaces.
      if_interrupted: says what the same command does after Ctrl-C.
    """

    def guarded(argv: Sequence[str]) -> None:
        logging.set_verbosity(logging.ERROR)  # Orbax warns of what is meant
        interrupts.explain(if_interrupted)
        compilation_cache.turn_on()
        gc.freeze()  # what was imported stays, and need not be searched for garbage while JAX traces
        try:
            result = main(argv[1:])
        except UserError as error:
            _fail(str(error), USER_ERROR)
        print(json.dumps(result), flush=True)

    app.run(guarded, flags_parser=lambda argv: _parse_flags(argv, config_file, sections.split()))


_given: dict[str, Any] = {}  # what the file of --config sets


def config(workdir: str = "") -> FrozenConfigDict:
    """The resolved config of `--config` and its overrides.

    Defaults are filled in after the overrides, so that another variant brings its own;
    and where the experiment starts from a checkpoint, after what it takes over from that.

    Args:
      workdir: of the run, which inherits from its own checkpoint once it has one.
    """
    changed = _overridden(_given)
    init_from = str(changed.get("init_from", ""))
    if not init_from:
        return resolve(changed)
    from flax_googlenet.training import fine_tuning  # seconds of imports that others do without

    return resolve(changed, fine_tuning.inherited(init_from, workdir))


def override(base: Mapping[str, Any]) -> FrozenConfigDict:
    """A config with the overrides of the command line, resolved."""
    return resolve(_overridden(base))


def _overridden(base: Mapping[str, Any]) -> ConfigDict:
    sections: dict[str, Any] = {key: {} for key, default in DEFAULTS.items() if isinstance(default, dict)}
    changed = ConfigDict({**sections, **base}, type_safe=False)  # `resolve` looks at the types
    changed.update_from_flattened_dict(config_flags.get_override_values(flags.FLAGS["config"]))
    return changed


def refuse_arguments(arguments: Sequence[str]) -> None:
    """Catch `workdir=DIR` without its dashes, and the like.

    Raises:
      UserError: something on the command line is not a flag.
    """
    if arguments:
        raise UserError(f'"{arguments[0]}" is not a flag; flags are written --name=value.')


def _fail(sentence: str, status: int) -> NoReturn:
    print(f"error: {sentence}", file=sys.stderr)
    sys.exit(status)


def _parse_flags(argv: Sequence[str], config_file: str, sections: Sequence[str]) -> list[str]:
    if {"--help", "-help", "-h"} & set(argv):
        print(_help(config_file, sections))
        sys.exit(0)
    try:
        if config_file:
            argv, path = _take_config_file(argv, config_file)
            _check_overrides(argv, DEFAULTS)
            # Every key is there before the overrides are parsed, so each has its type.
            given = _load_config(path)
            base = resolve(given)
            _given.update(given)
        else:
            _check_overrides(argv, sections)
            base = resolve({})
        if config_file or sections:
            config_flags.DEFINE_config_dict("config", ConfigDict(base.to_dict()), sys_argv=list(argv))
        rest: list[str] = flags.FLAGS(argv)
        return rest
    except flags.UnrecognizedFlagError as error:
        known = [flag.name for flag in flags.FLAGS.get_key_flags_for_module(sys.argv[0])]
        known.append(compilation_cache.flag().name)
        suggestion = did_you_mean(error.flagname, [*known, "config"] if config_file else known)
        _fail(f"There is no flag --{error.flagname}; " + re.sub(r'"(\w+)"', r"--\1", suggestion), USER_ERROR)
    except UserError as error:
        _fail(str(error), USER_ERROR)
    except flags.Error as error:
        _fail(" ".join(str(error).split()), BAD_FLAGS)


def _take_config_file(argv: Sequence[str], default: str) -> tuple[list[str], str]:
    """Command line without `--config=FILE`, and FILE."""
    rest: list[str] = []
    path = default
    arguments = iter(argv)
    for argument in arguments:
        if argument in ("--config", "-config"):
            path = next(arguments, "")
        elif match := re.fullmatch(r"--?config=(.*)", argument):
            path = match[1]
        else:
            rest.append(argument)
    return rest, path


def _check_overrides(argv: Sequence[str], sections: Sequence[str] | dict[str, Any]) -> None:
    for argument in argv:
        match = re.match(r"--?(?:no)?config\.([^=]*)", argument)
        if match is None:
            continue
        key = match[1]
        if key not in flatten(DEFAULTS):
            raise UserError(f'The config has no key "{key}"; {did_you_mean(key, flatten(DEFAULTS))}')
        if key.split(".")[0] not in sections:
            raise UserError(
                f"config.{key} is part of what the checkpoint is; only {' and '.join(sections)} "
                "can be overridden."
            )


def _load_config(path: str) -> dict[str, Any]:
    """What `get_config` of FILE.py gives, or of FILE.py:ARGUMENT=VALUE,...

    Mistakes inside of the file keep their traceback.
    """
    name, _, listed = path.partition(":")
    file = pathlib.Path(name)
    if not file.is_file():
        beside = file.parent if file.parent.is_dir() else pathlib.Path("configs")
        nearest = did_you_mean(name, [str(each) for each in beside.glob("*.py")])
        raise UserError(f"There is no config file {name or 'without a name'}; {nearest}")
    spec = importlib.util.spec_from_file_location("config_file", file)
    if spec is None or spec.loader is None:
        raise UserError(f"{name} is not a Python file; a config is a .py file with get_config().")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    get_config = getattr(module, "get_config", None)
    if get_config is None:
        raise UserError(f"{name} has no function get_config(); see configs/mnist_sample.py.")
    arguments = dict(each.partition("=")[::2] for each in listed.split(",") if each)
    parameters = inspect.signature(get_config).parameters
    for argument, value in arguments.items():
        if argument not in parameters:
            hint = did_you_mean(argument, parameters) if parameters else f'leave out ":{listed}".'
            raise UserError(f'{name} takes no argument "{argument}"; {hint}')
        if not value:
            raise UserError(f'The argument "{argument}" of {name} has no value; write {argument}=VALUE.')
    given: dict[str, Any] = get_config(**arguments).to_dict()
    return given


def _help(config_file: str, sections: Sequence[str]) -> str:
    main = sys.modules["__main__"]
    lines = [(main.__doc__ or "").strip(), "", "Flags:", ""]
    if config_file:
        lines.append(f"  --config=FILE.py[:ARGUMENT=VALUE,...]: the experiment (default: {config_file})")
        lines.append(_OVERRIDES_HELP.format("the experiment"))
    for flag in (*flags.FLAGS.get_key_flags_for_module(sys.argv[0]), compilation_cache.flag()):
        default = f" (default: {flag.default})" if flag.default is not None else ""
        lines.append(f"  --{flag.name}: {flag.help}{default}")
    if sections:
        lines.append(_OVERRIDES_HELP.format(" or ".join(sections) + " that the checkpoint recorded"))
    return "\n".join(lines)
