"""What the commands share: flags, mistakes in one sentence, one JSON object as the result."""

import difflib
import gc
import importlib.util
import inspect
import json
import pathlib
import re
import sys
import textwrap
from collections.abc import Callable, Mapping, Sequence
from typing import Any, NoReturn

from absl import app, flags, logging
from ml_collections import ConfigDict, FrozenConfigDict, config_flags

from flax_googlenet.config import DEFAULTS, resolve
from flax_googlenet.config.names import nearest_key, unknown_key
from flax_googlenet.config.schema import KEYS
from flax_googlenet.errors import UserError, did_you_mean
from launch import compilation_cache, interrupts, logs

USER_ERROR, BAD_FLAGS = 1, 2  # exit statuses

_OVERRIDES_HELP = (
    "--config.KEY=VALUE: another value for a key of {}; flax_googlenet/config_schema.py lists the keys."
)

_NO_VALUE = "must have a value other than None"  # absl's words for a required flag that is not given


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
        logs.show()
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
    refuse_weights_file(init_from)
    from flax_googlenet.inheritance import resolve_config  # seconds of imports that others do without

    return resolve_config(changed, workdir)


def overrides() -> dict[str, Any]:
    """The overrides of the command line alone, by section."""
    given: dict[str, Any] = _overridden({}).to_dict()
    return given


def _overridden(base: Mapping[str, Any]) -> ConfigDict:
    sections: dict[str, Any] = {key: {} for key, default in DEFAULTS.items() if isinstance(default, dict)}
    changed = ConfigDict({**sections, **base}, type_safe=False)  # `resolve` looks at the types
    try:
        changed.update_from_flattened_dict(config_flags.get_override_values(flags.FLAGS["config"]))
    except KeyError:  # a section that is none: `resolve` says so
        return ConfigDict(base)
    return changed


def refuse_weights_file(path: str) -> None:
    """Catch weights of another framework where a checkpoint is meant.

    Raises:
      UserError: the path is that of a file that has to be imported first.
    """
    suffix = pathlib.PurePath(path).suffix
    if not suffix or pathlib.Path(path).is_dir():
        return
    from flax_googlenet.interop.registry import source_of_suffix  # seconds of imports

    if source := source_of_suffix(suffix):
        raise UserError(
            f"{path} is a file of weights, not a checkpoint; make one of it with "
            f"python -m launch.import_weights --source={source} --path={path} --out=DIR."
        )


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
            _given.clear()
            _given.update(_load_config(path))
        else:
            _check_overrides(argv, sections)
        if config_file or sections:
            # Every key is there before the overrides are parsed, so each has its type.
            config_flags.DEFINE_config_dict("config", ConfigDict(DEFAULTS), sys_argv=list(argv))
        rest: list[str] = flags.FLAGS(argv)
        return rest
    except flags.UnrecognizedFlagError as error:
        _fail(
            f"There is no flag --{error.flagname}; {_suggest_flag(error.flagname, config_file)}", USER_ERROR
        )
    except UserError as error:
        _fail(str(error), USER_ERROR)
    except flags.Error as error:
        _fail(_explain(" ".join(str(error).split())), BAD_FLAGS)


def _suggest_flag(name: str, config_file: str) -> str:
    known = [flag.name for flag in flags.FLAGS.get_key_flags_for_module(sys.argv[0])]
    known.append(compilation_cache.flag().name)
    known += ["config"] if config_file else []
    key = nearest_key(name) if config_file else None
    if key and not difflib.get_close_matches(name, known, cutoff=0.5):
        return f"did you mean --config.{key}?"
    return re.sub(r'"(\w+)"', r"--\1", did_you_mean(name, known))


def _explain(message: str) -> str:
    """Say in a sentence what absl says of a flag's value."""
    if match := re.fullmatch(r"Missing value for flag (\S+)", message):
        return f"{match[1]} has no value; write {match[1]}=VALUE."
    match = re.match(r"flag --([\w.]+)=(.*?): ", message)
    if match is None:
        return message
    name, value = match[1], match[2]
    if name.startswith("config."):
        return KEYS[name.removeprefix("config.")].refusal(value)
    flag = flags.FLAGS[name]
    if _NO_VALUE in message:
        text = _help_text(flag)
        return f"--{name} is required: {text[0].lower()}{text[1:]}"
    if choices := getattr(flag.parser, "enum_values", None):
        wanted = f"one of {'|'.join(choices)}"
    else:
        wanted = "true or false" if flag.boolean else flag.parser.syntactic_help
    return f"--{name} is {value!r}; it must be {wanted}."


def _is_required(flag: flags.Flag) -> bool:
    return any(_NO_VALUE in validator.message for validator in flag.validators)


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
        if key not in KEYS:
            raise unknown_key(key)
        if key.split(".")[0] not in sections:
            raise UserError(
                f"config.{key} is part of what the checkpoint is; only {' and '.join(sections)} "
                "can be overridden."
            )


def _load_config(path: str) -> dict[str, Any]:
    """What `get_config` of FILE.py gives, or of FILE.py:ARGUMENT=VALUE,... or FILE.py:VALUE.

    Mistakes inside of the file, other than of syntax, keep their traceback.
    """
    name, _, listed = path.partition(":")
    file = pathlib.Path(name)
    if not file.is_file():
        raise UserError(f"There is no config file {name or 'without a name'}; {_nearest_file(file)}")
    spec = importlib.util.spec_from_file_location("config_file", file)
    if spec is None or spec.loader is None:
        raise UserError(f"{name} is not a Python file; a config is a .py file with get_config().")
    module = importlib.util.module_from_spec(spec)
    try:
        spec.loader.exec_module(module)
    except SyntaxError as error:
        raise UserError(f"{error.filename}, line {error.lineno}, is not valid Python: {error.msg}.") from None
    get_config = getattr(module, "get_config", None)
    if not callable(get_config):
        raise UserError(f"{name} has no function get_config(); see configs/mnist_sample.py.")
    given = get_config(**_config_arguments(name, listed, get_config))
    if not isinstance(given, Mapping | ConfigDict):
        returned = "nothing" if given is None else f"a {type(given).__name__}"
        raise UserError(f"get_config() of {name} returns {returned}; it must return a ConfigDict.")
    plain: dict[str, Any] = ConfigDict(given).to_dict()
    return plain


def _nearest_file(file: pathlib.Path) -> str:
    """The end of a sentence about a config file that is not there."""
    configs = sorted(pathlib.Path("configs").glob("*.py"))
    by_stem = {path.stem: str(path) for path in (*sorted(file.parent.glob("*.py")), *configs)}
    nearest = difflib.get_close_matches(file.stem, by_stem, n=1, cutoff=0.5)
    if nearest:
        return f'did you mean "{by_stem[nearest[0]]}"?'
    if not configs:
        return "give the path of a .py file with get_config()."
    return f"known are {', '.join(map(str, configs))}."


def _config_arguments(name: str, listed: str, get_config: Callable[..., Any]) -> dict[str, str]:
    parameters = inspect.signature(get_config).parameters
    if len(parameters) == 1 and listed and "=" not in listed and listed not in parameters:
        return {next(iter(parameters)): listed}
    arguments = dict(each.partition("=")[::2] for each in listed.split(",") if each)
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


def _help(config_file: str, sections: Sequence[str]) -> str:
    main = sys.modules["__main__"]
    entries = []
    if config_file:
        entries.append(f"--config=FILE.py[:ARGUMENT=VALUE,...]: the experiment (default: {config_file})")
        entries.append(_OVERRIDES_HELP.format("the experiment"))
    own = flags.FLAGS.get_key_flags_for_module(sys.argv[0])
    entries += map(_flag_help, (*own, compilation_cache.flag()))
    if sections:
        entries.append(_OVERRIDES_HELP.format(" or ".join(sections) + " that the checkpoint recorded"))
    wrap = textwrap.TextWrapper(
        100, initial_indent="  ", subsequent_indent=" " * 6, break_on_hyphens=False, break_long_words=False
    )
    return "\n".join([(main.__doc__ or "").strip(), "", "Flags:", "", *map(wrap.fill, entries)])


def _flag_help(flag: flags.Flag) -> str:
    choices = getattr(flag.parser, "enum_values", None)
    name = f"--[no]{flag.name}" if flag.boolean else f"--{flag.name}"
    name += f"={'|'.join(choices)}" if choices else ""
    if _is_required(flag):
        return f"{name} (required): {_help_text(flag)}"
    default = ",".join(flag.default) if isinstance(flag.default, list) else flag.default
    if default is None or default == "":
        return f"{name}: {_help_text(flag)}"
    return f"{name}: {_help_text(flag)} (default: {str(default).lower() if flag.boolean else default})"


def definitions(terms: Mapping[str, str]) -> str:
    """Return a table of terms and their meanings for the docstring of a command."""
    width = max(map(len, terms)) + 2
    wrap = textwrap.TextWrapper(100, subsequent_indent=" " * width, break_on_hyphens=False)
    return "\n".join(wrap.fill(f"{term:<{width}}{meaning}") for term, meaning in terms.items())


def _help_text(flag: flags.Flag) -> str:
    return re.sub(r"^<\S+>: ", "", flag.help or "")  # absl puts an enum's choices before it
