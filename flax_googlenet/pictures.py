"""Class names in pictures: directories may be called whatever a file system takes."""

import os
import warnings

from matplotlib.figure import Figure

_LONGEST = 24


def caption(name: str) -> str:
    r"""Return a name as it can be drawn, with `parse_math=False`: in one line, short, and in Unicode.

    >>> caption("tench"), caption("a\nb"), caption("x" * 30)
    ('tench', 'a?b', 'xxxxxxxxxxxxxxxxxxxxxxx…')
    """
    # A surrogate, which stands for a byte that is not Unicode, is not printable either.
    drawable = "".join(character if character.isprintable() else "?" for character in name)
    return drawable if len(drawable) <= _LONGEST else drawable[: _LONGEST - 1] + "…"


def save_picture(figure: Figure, path: str | os.PathLike[str]) -> None:
    """Write a picture; a character that no font has becomes a box, without a warning."""
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message="Glyph .* missing from font", category=UserWarning)
        figure.savefig(path)
