"""Texts of `--help`, which lists the flags of a command, and `--help=config`, which lists the config keys."""

import itertools
import re
import sys
import textwrap
from collections.abc import Iterator, Mapping, Sequence

from absl import flags

from flax_googlenet.config import DEFAULTS
from flax_googlenet.config.kinds import literal
from flax_googlenet.config.schema import KEYS, Key
from launch.common import compilation_cache

NO_VALUE = "must have a value other than None"  # absl's words for a required flag without a value

_WIDTH = 100
_COLUMNS = (31, 20, _WIDTH - 31 - 20)


def of_command(default_config: str, sections: Sequence[str]) -> str:
    """Return the help of the command that runs, given two arguments of its `command.run`."""
    entries = []
    if default_config:
        entries.append(
            "--config=FILE.py[:ARGUMENT=VALUE,...]: Config of the experiment, with arguments of its "
            f"get_config(). (default: {default_config})"
        )
    if default_config or sections:
        takes_all = bool(default_config) or len(sections) == len(DEFAULTS)
        keys = "a key of the config" if takes_all else f"a key of {' or '.join(sections)} in the checkpoint"
        entries.append(f"--config.KEY=VALUE: Another value for {keys}; --help=config lists the keys.")
    flags_of_command = flags.FLAGS.get_key_flags_for_module(sys.argv[0])
    entries += map(_entry, (*flags_of_command, compilation_cache.flag()))
    wrap = textwrap.TextWrapper(
        _WIDTH, initial_indent="  ", subsequent_indent=" " * 6, break_on_hyphens=False, break_long_words=False
    )
    description = (sys.modules["__main__"].__doc__ or "").strip()
    return "\n".join([description, "", "Flags:", "", *map(wrap.fill, entries)])


def of_config(sections: Sequence[str]) -> str:
    """Return the table of the config keys, or of those in some sections."""
    rows = [
        (key.name, literal(key.default), _meaning(key))
        for key in KEYS.values()
        if not sections or key.name.split(".")[0] in sections
    ]
    introduction = (
        "Keys of a config, to set by get_config() in its file or by --config.KEY=VALUE on the command line. "
        'Sections, figures and tables are those of "Going deeper with convolutions" (Szegedy et al., 2014). '
        "docs/config.md has the same table."
    )
    lines = itertools.chain.from_iterable(map(_lines, [("KEY", "DEFAULT", "MEANING"), *rows]))
    return "\n".join([textwrap.fill(introduction, _WIDTH), "", *lines])


def definitions(terms: Mapping[str, str]) -> str:
    """Return a table of terms and their meanings for the docstring of a command."""
    width = max(map(len, terms)) + 2
    wrap = textwrap.TextWrapper(_WIDTH, subsequent_indent=" " * width, break_on_hyphens=False)
    return "\n".join(wrap.fill(f"{term:<{width}}{meaning}") for term, meaning in terms.items())


def is_required(flag: flags.Flag) -> bool:
    """Return whether a command refuses to run without a flag."""
    return any(NO_VALUE in validator.message for validator in flag.validators)


def sentence_of(flag: flags.Flag) -> str:
    """Return the help of a flag without the choices that absl puts before it."""
    return re.sub(r"^<\S+>: ", "", flag.help or "")


def _meaning(key: Key) -> str:
    defaults = ", ".join(f"{variant} {literal(value)}" for variant, value in key.variant_defaults.items())
    return f"{key.help} Accepts {key.kind.phrase}." + (
        f" Default by variant: {defaults}." if defaults else ""
    )


def _lines(cells: Sequence[str]) -> Iterator[str]:
    columns = [textwrap.wrap(cell, width - 2) for cell, width in zip(cells, _COLUMNS, strict=True)]
    for row in itertools.zip_longest(*columns, fillvalue=""):
        yield "".join(cell.ljust(width) for cell, width in zip(row, _COLUMNS, strict=True)).rstrip()


def _entry(flag: flags.Flag) -> str:
    choices = getattr(flag.parser, "enum_values", None)
    name = f"--[no]{flag.name}" if flag.boolean else f"--{flag.name}"
    name += f"={'|'.join(choices)}" if choices else ""
    if is_required(flag):
        return f"{name} (required): {sentence_of(flag)}"
    default = ",".join(flag.default) if isinstance(flag.default, list) else flag.default
    if default is None or default == "":
        return f"{name}: {sentence_of(flag)}"
    return f"{name}: {sentence_of(flag)} (default: {str(default).lower() if flag.boolean else default})"
