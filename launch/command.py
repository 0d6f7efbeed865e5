"""What the commands share: flags, mistakes in one sentence, one JSON object as the result."""

import json
import pathlib
import re
import sys
from collections.abc import Callable, Sequence
from typing import Any, NoReturn

from absl import app, flags, logging
from ml_collections import ConfigDict, FrozenConfigDict, config_flags

from flax_googlenet.config import DEFAULTS, flatten, resolve
from flax_googlenet.errors import UserError, did_you_mean

USER_ERROR, BAD_FLAGS, INTERRUPTED = 1, 2, 130  # exit statuses


def run(main: Callable[[Sequence[str]], dict[str, Any]]) -> None:
    """Parse the flags, run a command and end the process.

    Args:
      main: takes the arguments that are not flags and returns the result, which is
        printed as the last line of stdout.
    """

    def guarded(argv: Sequence[str]) -> None:
        logging.set_verbosity(logging.WARNING)
        try:
            result = main(argv[1:])
        except UserError as error:
            _fail(str(error), USER_ERROR)
        except KeyboardInterrupt:
            _fail("Interrupted; the same command again goes on from the last checkpoint.", INTERRUPTED)
        print(json.dumps(result), flush=True)

    app.run(guarded, flags_parser=_parse_flags)


def define_config_file(default: str | None) -> Callable[[], FrozenConfigDict]:
    """Define `--config=FILE.py[:argument]` and `--config.KEY=VALUE`.

    Returns:
      A function that gives the resolved config once the flags are parsed.
    """
    config_flags.DEFINE_config_file(
        "config",
        default,
        "File of the experiment; override any of its keys with --config.KEY=VALUE.",
        lock_config=False,
        accept_new_attributes=True,  # `resolve` knows every key; a file states only some
    )
    return lambda: resolve(flags.FLAGS.config)


def define_overrides(*sections: str) -> Callable[[FrozenConfigDict], FrozenConfigDict]:
    """Define `--config.SECTION.KEY=VALUE`, to change what a checkpoint recorded.

    Returns:
      A function that applies them to the recorded config.
    """
    config_flags.DEFINE_config_dict(
        "config",
        ConfigDict(),
        f"--config.KEY=VALUE overrides what the checkpoint recorded, for keys of {' and '.join(sections)}.",
        lock_config=False,
        accept_new_attributes=True,
    )

    def apply(config: FrozenConfigDict) -> FrozenConfigDict:
        changed = ConfigDict(config.to_dict(), convert_dict=True)
        for key, value in config_flags.get_override_values(flags.FLAGS["config"]).items():
            if key not in flatten(DEFAULTS):
                raise UserError(f'The config has no key "{key}"; {did_you_mean(key, flatten(DEFAULTS))}')
            if key.split(".")[0] not in sections:
                raise UserError(
                    f"config.{key} is part of what the checkpoint is; only {' and '.join(sections)} "
                    "can be overridden."
                )
            changed.update_from_flattened_dict({key: value})
        return resolve(changed)

    return apply


def refuse_arguments(arguments: Sequence[str]) -> None:
    """Catch `-workdir DIR` with a typo in it, and the like.

    Raises:
      UserError: something on the command line is not a flag.
    """
    if arguments:
        raise UserError(f'"{arguments[0]}" is not a flag; flags are written --name=value.')


def config_stem() -> str:
    """Name of the config file, without directory and suffix."""
    return pathlib.Path(config_flags.get_config_filename(flags.FLAGS["config"]).split(":")[0]).stem


def _fail(sentence: str, status: int) -> NoReturn:
    print(f"error: {sentence}", file=sys.stderr)
    sys.exit(status)


def _parse_flags(argv: Sequence[str]) -> list[str]:
    if {"--help", "-help", "-h"} & set(argv):
        app.usage(shorthelp=True, writeto_stdout=True, exitcode=0)
    try:
        _check_config_file(argv)
        rest: list[str] = flags.FLAGS(argv)
        return rest
    except flags.UnrecognizedFlagError as error:
        known = [flag.name for flag in flags.FLAGS.get_key_flags_for_module(sys.argv[0])]
        suggestion = re.sub(r'"(\w+)"', r"--\1", did_you_mean(error.flagname, known))
        _fail(f"There is no flag --{error.flagname}; {suggestion}", USER_ERROR)
    except UserError as error:
        _fail(str(error), USER_ERROR)
    except flags.Error as error:
        message = str(error)
        if "Traceback" in message:  # a bug in the config file: where it is helps
            print(message, file=sys.stderr)
            message = "The config file failed, as shown above."
        _fail(" ".join(message.split()), BAD_FLAGS)


def _check_config_file(argv: Sequence[str]) -> None:
    """Miss the config file here, in one sentence, rather than at its first use."""
    for argument, following in zip(argv, [*argv[1:], ""], strict=True):
        match = re.fullmatch(r"--?config(?:=(.*))?", argument)
        if match is None:
            continue
        path = pathlib.Path((match[1] if match[1] is not None else following).split(":")[0])
        if not path.is_file():
            beside = [
                str(each)
                for each in (path.parent if path.parent.is_dir() else pathlib.Path("configs")).glob("*.py")
            ]
            raise UserError(f"There is no config file {path}; {did_you_mean(str(path), beside)}")
