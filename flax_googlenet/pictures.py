"""Captions and files of pictures.

Class names come from the names of directories, so they may contain any character.
"""

import contextlib
import os
import pathlib
import warnings
from collections.abc import Iterator

from etils import epath
from matplotlib.figure import Figure

_MAX_LENGTH = 24


def caption(name: str) -> str:
    r"""Return a name in a form that matplotlib can draw with `parse_math=False`: one short printable line.

    >>> caption("tench"), caption("a\nb"), caption("x" * 30)
    ('tench', 'a?b', 'xxxxxxxxxxxxxxxxxxxxxxx…')
    """
    # Surrogates, which stand for bytes that are not Unicode, are not printable either.
    drawable = "".join(character if character.isprintable() else "?" for character in name)
    return drawable if len(drawable) <= _MAX_LENGTH else drawable[: _MAX_LENGTH - 1] + "…"


def save_picture(figure: Figure, path: str | os.PathLike[str]) -> None:
    """Write a figure to a file, here or in a bucket, without warnings about characters that no font has.

    Args:
      figure: a figure.
      path: the file, whose suffix is that of an image format.
    """
    with without_glyph_warnings(), epath.Path(path).open("wb") as file:
        figure.savefig(file, format=pathlib.PurePath(path).suffix.removeprefix("."))


@contextlib.contextmanager
def without_glyph_warnings() -> Iterator[None]:
    """Silence warnings about characters that no font has, in the block."""
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message="Glyph .* missing from font", category=UserWarning)
        yield
