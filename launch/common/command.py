"""The entry point of every command: parse flags, load the config, print an error or the result as JSON."""

import difflib
import gc
import json
import pathlib
import re
import sys
from collections.abc import Callable, Mapping, Sequence
from typing import Any, NoReturn

from absl import app, flags, logging
from ml_collections import ConfigDict, FrozenConfigDict, config_flags

from flax_googlenet import distributed
from flax_googlenet.config import DEFAULTS
from flax_googlenet.config.names import nearest_key, unknown_key
from flax_googlenet.config.schema import KEYS
from flax_googlenet.errors import UserError, did_you_mean
from flax_googlenet.inheritance import resolve_config
from flax_googlenet.runtime.allocator import keep_freed_memory
from launch.common import cluster, compilation_cache, config_file, interrupts, logs, usage

USER_ERROR, BAD_FLAGS = 1, 2  # exit statuses
BUG = 1  # that of Python after an exception

_file_settings: dict[str, Any] = {}  # the keys that the file of --config sets


def run(
    main: Callable[[Sequence[str]], dict[str, Any]],
    *,
    default_config: str = "",
    sections: Sequence[str] = (),
    if_interrupted: Callable[[], str] = lambda: "the same command starts over",
    exit_status: Callable[[Mapping[str, Any]], int] = lambda _: 0,
) -> None:
    """Parse the flags, run a command and end the process.

    Args:
      main: takes the arguments that are not flags, and returns the result to print as the
        last line of stdout.
      default_config: makes the command take `--config=FILE.py[:ARGUMENT=VALUE,...]`, with this
        default, and `--config.KEY=VALUE` for every key.
      sections: makes the command take `--config.KEY=VALUE` for the keys of these sections,
        to override the config that a checkpoint recorded.
      if_interrupted: returns what the same command does after Ctrl-C.
      exit_status: returns the exit status of a command with this result.
    """

    def run_main(argv: Sequence[str]) -> int:
        logging.set_verbosity(logging.ERROR)  # Orbax warns about intended behavior
        logs.show()
        interrupts.explain(if_interrupted)
        keep_freed_memory()
        compilation_cache.turn_on()
        gc.freeze()  # imported modules stay, and the collector need not search them while JAX traces
        try:
            result = main(argv[1:])
            distributed.finish()
        except distributed.Preempted:
            cluster.end_preempted(if_interrupted())
        except UserError as error:
            _print_error(str(error))
            cluster.end_after(error, USER_ERROR)
            sys.exit(USER_ERROR)
        except Exception as error:
            cluster.end_after(error, BUG)
            raise
        if distributed.process_index() == 0:
            print(json.dumps(result), flush=True)
        return exit_status(result)

    app.run(run_main, flags_parser=lambda argv: _parse_flags(argv, default_config, sections))


def config(workdir: str = "") -> FrozenConfigDict:
    """Return the resolved config of `--config` and its overrides.

    Args:
      workdir: the directory of the run, whose latest checkpoint takes the place of
        `init_from` for the inherited keys.

    Raises:
      UserError: if the config has a mistake, or `init_from` is not a checkpoint.
    """
    experiment = _with_overrides(_file_settings)
    refuse_weights_file(str(experiment.get("init_from", "")))
    return resolve_config(experiment, workdir)


def overrides() -> dict[str, Any]:
    """Return the keys that the command line sets, by section."""
    settings: dict[str, Any] = _with_overrides({}).to_dict()
    return settings


def _with_overrides(settings: Mapping[str, Any]) -> ConfigDict:
    sections: dict[str, Any] = {key: {} for key, default in DEFAULTS.items() if isinstance(default, dict)}
    changed = ConfigDict({**sections, **settings}, type_safe=False)  # `resolve` checks the types
    try:
        changed.update_from_flattened_dict(config_flags.get_override_values(flags.FLAGS["config"]))
    except KeyError:  # the file sets a section to a value, which `resolve` refuses
        return ConfigDict(settings)
    return changed


def refuse_weights_file(path: str) -> None:
    """Refuse weights of another framework in place of a checkpoint.

    Raises:
      UserError: if the path is that of a file that has to be imported first.
    """
    suffix = pathlib.PurePath(path).suffix
    if not suffix or pathlib.Path(path).is_dir():
        return
    from flax_googlenet.interop.registry import source_of_suffix  # seconds of imports

    if source := source_of_suffix(suffix):
        raise UserError(
            f"{path} is a file of weights, not a checkpoint; convert it with "
            f"python -m launch.import_weights --source={source} --path={path} --out=DIR."
        )


def refuse_arguments(arguments: Sequence[str]) -> None:
    """Refuse arguments that are not flags, such as `workdir=DIR` without its dashes.

    Raises:
      UserError: if there is an argument.
    """
    if arguments:
        raise UserError(f'"{arguments[0]}" is not a flag; flags are written --name=value.')


def _fail(sentence: str, status: int) -> NoReturn:
    _print_error(sentence)
    sys.exit(status)


def _print_error(sentence: str) -> None:
    sys.stderr.write(f"error: {sentence}\n")  # one write, which the output of other threads does not split
    sys.stderr.flush()


def _parse_flags(argv: Sequence[str], default_config: str, sections: Sequence[str]) -> list[str]:
    takes_keys = bool(default_config or sections)
    options = {argument.lstrip("-") for argument in argv if argument.startswith("-")}
    if "help=config" in options:
        if not takes_keys:
            _fail("This command has no config; --help lists its flags.", USER_ERROR)
        print(usage.of_config(sections))
        sys.exit(0)
    if options & {"help", "h"}:
        print(usage.of_command(default_config, sections))
        sys.exit(0)
    try:
        if default_config:
            argv, path = _split_config_flag(argv, default_config)
            _check_overrides(argv, tuple(DEFAULTS))
            _file_settings.clear()
            _file_settings.update(config_file.load(path))
        elif sections:
            _check_overrides(argv, sections)
        if takes_keys:
            # The defaults give every override its type, also for keys that the file leaves out.
            config_flags.DEFINE_config_dict("config", ConfigDict(DEFAULTS), sys_argv=list(argv))
        arguments: list[str] = flags.FLAGS(argv)
        return arguments
    except flags.UnrecognizedFlagError as error:
        suggestion = _suggest_flag(error.flagname, takes_config=bool(default_config))
        _fail(f"There is no flag --{error.flagname}; {suggestion}", USER_ERROR)
    except UserError as error:
        _fail(str(error), USER_ERROR)
    except flags.Error as error:
        _fail(_explain(" ".join(str(error).split())), BAD_FLAGS)


def _split_config_flag(argv: Sequence[str], default: str) -> tuple[list[str], str]:
    """Return the command line without `--config=FILE`, and FILE."""
    # `DEFINE_config_file` of ml_collections refuses overrides that come before the file.
    values = flags.FlagValues()
    file = flags.DEFINE_string("config", default, "", flag_values=values)
    return values(argv, known_only=True), file.value


def _check_overrides(argv: Sequence[str], sections: Sequence[str]) -> None:
    for argument in argv:
        match = re.match(r"--?(?:no)?config\.([^=]*)", argument)
        if match is None:
            continue
        key = match[1]
        if key not in KEYS:
            raise unknown_key(key, "docs/config.md and --help=config list them all.")
        if key.split(".")[0] not in sections:
            raise UserError(
                f"config.{key} is fixed by the checkpoint; only keys of {' and '.join(sections)} "
                "can be overridden."
            )


def _suggest_flag(name: str, *, takes_config: bool) -> str:
    names = [flag.name for flag in flags.FLAGS.get_key_flags_for_module(sys.argv[0])]
    names.append(compilation_cache.flag().name)
    names += ["config"] if takes_config else []
    key = nearest_key(name) if takes_config else None
    if key and not difflib.get_close_matches(name, names, cutoff=0.5):
        return f"did you mean --config.{key}?"
    return re.sub(r'"(\w+)"', r"--\1", did_you_mean(name, names))


def _explain(message: str) -> str:
    """Return absl's message about the value of a flag as a sentence with a way out."""
    if match := re.fullmatch(r"Missing value for flag (\S+)", message):
        return f"{match[1]} has no value; write {match[1]}=VALUE."
    match = re.match(r"flag --([\w.]+)=(.*?): ", message)
    if match is None:
        return message
    name, value = match[1], match[2]
    if name.startswith("config."):
        return KEYS[name.removeprefix("config.")].refusal(value)
    flag = flags.FLAGS[name]
    if usage.NO_VALUE in message:
        sentence = usage.sentence_of(flag)
        return f"--{name} is required: {sentence[0].lower()}{sentence[1:]}"
    if choices := getattr(flag.parser, "enum_values", None):
        expected = f"one of {'|'.join(choices)}"
    else:
        expected = "true or false" if flag.boolean else flag.parser.syntactic_help
    return f"--{name} is {value!r}; it must be {expected}."
