"""Decoding of whole data sets: every example is read, decoded and described, in order."""

import dataclasses
import hashlib
import itertools
from collections.abc import Callable, Iterator
from typing import Self

from flax_googlenet.data.examples import Example
from flax_googlenet.data.images import decoding
from flax_googlenet.errors import UserError
from flax_googlenet.workers import Workers, reading

_BLOCK = 32  # examples per task of a worker thread

_SIGNATURES = {
    b"\xff\xd8\xff": "JPEG",
    b"\x89PNG\r\n\x1a\n": "PNG",
    b"GIF8": "GIF",
    b"BM": "BMP",
    b"II*\0": "TIFF",
    b"MM\0*": "TIFF",
}


@dataclasses.dataclass(frozen=True)
class Decoded:
    """The description of an example that was read and decoded.

    Attributes:
      name: identifies the example; "example INDEX" if it cannot be read.
      label: index of its class; None if the example cannot be read.
      error: the exception of the source or of the decoder; None if the image decodes.
      warning: the decoder's first warning about an image that decodes; "" without warnings.
      format: the image's format, such as "JPEG"; "" unless it decodes.
      height, width: in pixels; 0 unless it decodes.
      digest: 16 bytes that identify the encoded image; b"" unless it decodes and digests are computed.
    """

    name: str
    label: int | None = None
    error: Exception | None = None
    warning: str = ""
    format: str = ""
    height: int = 0
    width: int = 0
    digest: bytes = b""


@dataclasses.dataclass(frozen=True)
class Problem:
    """A problem with one example of a split."""

    split: str
    name: str
    reason: str

    def __str__(self) -> str:
        return self.reason if self.name in self.reason else f"{self.name}: {self.reason}"

    @classmethod
    def of_error(cls, split: str, name: str, error: Exception) -> Self:
        """Return the problem that an exception of a source or a decoder stands for."""
        if isinstance(error, UserError):
            return cls(split, name, str(error))
        if isinstance(error, OSError) and error.strerror:
            return cls(split, str(error.filename or name), f"it cannot be read: {error.strerror}")
        return cls(split, name, f"{type(error).__name__}: {error}")


def decode_all(
    read: Callable[[int], Example], count: int, *, workers: int = 0, digests: bool = False
) -> Iterator[Decoded]:
    """Read and decode examples in worker threads and yield their descriptions in order.

    Args:
      read: returns the example at an index; called from several threads.
      count: number of examples.
      workers: number of worker threads; 0 for one per core.
      digests: whether to compute a digest of each encoded image.

    Raises:
      UserError: if reading an example takes longer than the deadline.
    """

    def describe_block(indices: range) -> list[Decoded]:
        return [_describe(read, index, digests) for index in indices]

    blocks = (range(start, min(start + _BLOCK, count)) for start in range(0, count, _BLOCK))
    with Workers(workers, "decode") as pool:
        yield from itertools.chain.from_iterable(pool.map(describe_block, blocks))


def image_format(encoded: bytes) -> str:
    """Return the name of an image file's format, from its first bytes.

    >>> image_format(b"BM6"), image_format(b"RIFF....WEBPVP8 "), image_format(b"P6 1 1 255 abc")
    ('BMP', 'WebP', 'other')
    """
    if encoded[:4] == b"RIFF" and encoded[8:12] == b"WEBP":
        return "WebP"
    return next((name for start, name in _SIGNATURES.items() if encoded.startswith(start)), "other")


def _describe(read: Callable[[int], Example], index: int, with_digest: bool) -> Decoded:
    name, label = f"example {index}", None
    try:
        with reading(name):
            example = read(index)
        name, label = example.name, example.label
        image, warning = decoding.inspect(example.encoded, name)
    except Exception as error:  # no failure of one example may end the check of the others
        return Decoded(name, label, error=error)
    height, width = image.shape[:2]
    digest = hashlib.blake2b(example.encoded, digest_size=16).digest() if with_digest else b""
    return Decoded(name, label, None, warning, image_format(example.encoded), height, width, digest)
