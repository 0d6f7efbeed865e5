"""Mistakes that a user can make, told in one sentence."""

import difflib
from collections.abc import Iterable


class UserError(Exception):
    """A mistake in what was asked, not in the program.

    The message is one sentence that names the culprit and the way out. The commands
    print it without a traceback and exit with status 1.
    """


class CorruptImageError(UserError):
    """An image that cannot be read or decoded: what `config.data.on_error` is about."""


def did_you_mean(name: str, known: Iterable[str]) -> str:
    """Return the end of a sentence about an unknown name: the nearest known one, or all of them.

    >>> did_you_mean("optimiser", ["optimizer", "model"])
    'did you mean "optimizer"?'
    >>> did_you_mean("x", ["optimizer", "model"])
    'known are "model", "optimizer".'
    >>> did_you_mean("x", [])
    'none is known.'
    """
    known = sorted(known)
    if not known:
        return "none is known."
    nearest = difflib.get_close_matches(name, known, n=1, cutoff=0.5)
    if nearest:
        return f'did you mean "{nearest[0]}"?'
    return "known are " + ", ".join(f'"{each}"' for each in known) + "."
