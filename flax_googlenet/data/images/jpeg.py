"""JPEG files, and no more of them than is wanted: the whole, a smaller whole, or a part.

All three give the pixels that libjpeg-turbo gives for the whole file. Of a part, its
entropy coding has to be read down to the last row, which is most of the work; the rest
is left out where the package nvimgcodec is installed.
"""

import functools
import importlib.util
import os
import pathlib
import re
import tempfile
import threading
from collections.abc import Iterator
from typing import Any, Literal, NamedTuple

import numpy as np
import simplejpeg

SCALES = (8, 4, 2)  # at which libjpeg-turbo decodes faster than in full

_EXIF, _ORIENTATION, _UPRIGHT = b"Exif\0\0", 0x0112, 1
_UNKNOWN = 0  # no orientation that EXIF has
_SHORT, _LONG = 3, 4  # types of its numbers
_START_OF_IMAGE, _END_OF_IMAGE = b"\xff\xd8", b"\xff\xd9"
_START_OF_SCAN, _APP1 = 0xDA, 0xE1
_MARKER = re.compile(rb"\xff([^\0\xff])", re.DOTALL)
_STANDALONE = frozenset({0x01, *range(0xD0, 0xD9)})  # have no length and no content
_START_OF_FRAME = frozenset({*range(0xC0, 0xD0)} - {0xC4, 0xC8, 0xCC})
_BASELINE, _EXTENDED = 0xC0, 0xC1


class Box(NamedTuple):
    """A part of an image, in pixels."""

    top: int
    left: int
    height: int
    width: int


def cut(image: np.ndarray, box: Box) -> np.ndarray:
    """The part of an image, without copying it."""
    return image[box.top : box.top + box.height, box.left : box.left + box.width]


class Header(NamedTuple):
    """What `read_header` finds.

    Attributes:
      height, width: in pixels.
      sequential: coded from the top to the bottom, not in passes.
    """

    height: int
    width: int
    sequential: bool


def read_header(encoded: bytes) -> Header | None:
    """The header of a grey or colour JPEG that is complete and upright; of anything else None.

    >>> read_header(simplejpeg.encode_jpeg(np.zeros((8, 12, 3), np.uint8)))
    Header(height=8, width=12, sequential=True)
    >>> read_header(b"something else")
    """
    # What was cut short has no end; some cameras write a little more after it.
    if not encoded.startswith(_START_OF_IMAGE) or encoded.find(_END_OF_IMAGE, -1024) < 0:
        return None
    frame, exif = None, None
    for marker, start, end in _segments(encoded):
        if marker == _START_OF_SCAN:
            break
        if marker in _START_OF_FRAME:
            frame = marker
        elif marker == _APP1 and exif is None and encoded.startswith(_EXIF, start):
            exif = encoded[start + len(_EXIF) : end]
    else:
        return None
    if exif is None:
        if encoded.find(_EXIF, 0, start) >= 0:  # OpenCV may read what was not found here
            return None
    elif _orientation(exif) != _UPRIGHT:
        return None
    if (described := _describe(encoded)) is None:
        return None
    height, width, colors = described
    return Header(height, width, frame in (_BASELINE, _EXTENDED)) if colors in ("YCbCr", "Gray") else None


def read_size(encoded: bytes) -> tuple[int, int] | None:
    """Return height and width of a JPEG of any kind, without decoding it; None of anything else."""
    described = _describe(encoded) if encoded.startswith(_START_OF_IMAGE) else None
    return described[:2] if described else None


def _describe(encoded: bytes) -> tuple[int, int, str] | None:
    try:
        height, width, colors, _ = simplejpeg.decode_jpeg_header(encoded)
    except (ValueError, KeyError):  # the latter for 4:4:1, of which simplejpeg knows no name
        return None
    return height, width, colors


def _segments(encoded: bytes) -> Iterator[tuple[int, int, int]]:
    """Yield the marker, start and end of each segment up to the first scan, as libjpeg finds them.

    A marker may be preceded by any number of FF, and what is not part of a segment is skipped.
    """
    at = len(_START_OF_IMAGE)
    while match := _MARKER.search(encoded, at):
        marker, start = match[1][0], match.end()
        if marker in _STANDALONE:
            at = start
            continue
        if marker == _END_OF_IMAGE[1]:
            return
        at = start + max(int.from_bytes(encoded[start : start + 2]), 2)
        yield marker, start + 2, at
        if marker == _START_OF_SCAN:
            return


def _orientation(exif: bytes) -> int:
    """Return the orientation that EXIF data tell: upright if they do not say, unknown if they are damaged."""
    if not exif.startswith((b"II*\0", b"MM\0*")):
        return _UNKNOWN
    order: Literal["little", "big"] = "little" if exif.startswith(b"II") else "big"

    def number(start: int, size: int) -> int:
        return int.from_bytes(exif[start : start + size], order)

    first = number(4, 4)
    for entry in range(first + 2, first + 2 + 12 * number(first, 2), 12):
        if entry + 12 > len(exif):
            return _UNKNOWN
        if number(entry, 2) == _ORIENTATION:
            kind, count = number(entry + 2, 2), number(entry + 4, 4)
            sizes = {_SHORT: 2, _LONG: 4}
            return number(entry + 8, sizes[kind]) if kind in sizes and count == 1 else _UNKNOWN
    return _UPRIGHT if first + 2 <= len(exif) else _UNKNOWN


def decode(encoded: bytes, header: Header, scale: int = 1) -> np.ndarray | None:
    """Decode at 1/`scale` of the size, rounded up.

    Args:
      encoded: a file.
      header: its header.
      scale: 1, 2, 4 or 8.

    Returns:
      uint8 [height, width, 3], red first; None where the file is damaged.
    """
    # Of the sizes at hand, the smallest that is not smaller than this.
    height, width = -(-header.height // scale), -(-header.width // scale)
    try:
        image: np.ndarray = simplejpeg.decode_jpeg(encoded, min_height=height, min_width=width)
    except ValueError:
        return None
    return image


def warning(encoded: bytes) -> str:
    """Return the first thing that libjpeg-turbo warns of in a JPEG file that it can decode; "" if nothing.

    >>> warning(simplejpeg.encode_jpeg(np.zeros((8, 12, 3), np.uint8)))
    ''
    """
    if not encoded.startswith(_START_OF_IMAGE):
        return ""
    for read in (simplejpeg.decode_jpeg_header, simplejpeg.decode_jpeg):
        try:
            read(encoded)
        except KeyError:  # a subsampling that simplejpeg decodes and has no name for
            continue
        except ValueError as error:
            try:
                read(encoded, strict=False)
            except (ValueError, KeyError):  # no warning: a kind of JPEG that it does not decode
                return ""
            return str(error)
    return ""


def decode_box(encoded: bytes, header: Header, box: Box) -> np.ndarray | None:
    """Decode a part; it has the pixels that `decode` gives it."""
    # nvimgcodec smooths the lower edge of what was coded in passes, and a single column, otherwise.
    decoder = _region_decoder() if header.sequential and box.width > 1 else None
    if decoder is not None:
        part: np.ndarray | None = decoder(encoded, box)
        return part
    image = decode(encoded, header)
    return None if image is None else cut(image, box)


_thread = threading.local()


def _region_decoder() -> Any:
    """A function of a file and a box, for this thread; None without nvimgcodec."""
    if not hasattr(_thread, "decoder"):
        _thread.decoder = _make_region_decoder()
    return _thread.decoder


def _make_region_decoder() -> Any:
    package = nvimgcodec()
    if package is None:
        return None
    cpu = package.Backend(package.BackendKind.CPU_ONLY)
    decoder = package.Decoder(
        device_id=package.NVIMGCODEC_DEVICE_CPU_ONLY, max_num_cpu_threads=1, backends=[cpu]
    )
    parameters = package.DecodeParams(apply_exif_orientation=False, color_spec=package.ColorSpec.SRGB)

    def decode_region(encoded: bytes, box: Box) -> np.ndarray | None:
        region = package.Region(box.top, box.left, box.top + box.height, box.left + box.width)
        part = package.CodeStream(encoded).get_sub_code_stream(region=region)
        image = decoder.decode(part, params=parameters)
        return None if image is None else np.asarray(image.cpu())

    return decode_region


_importing = threading.Lock()


def nvimgcodec() -> Any:
    """The package nvidia.nvimgcodec, or None."""
    with _importing:
        return _import_nvimgcodec()


@functools.cache
def _import_nvimgcodec() -> Any:
    """Import it with its libjpeg-turbo alone, or it complains of every GPU codec that is not there."""
    try:
        spec = importlib.util.find_spec("nvidia.nvimgcodec")
    except ModuleNotFoundError:
        spec = None
    if spec is None or not spec.submodule_search_locations:
        return None
    shipped = pathlib.Path(spec.submodule_search_locations[0]) / "extensions"
    with tempfile.TemporaryDirectory(prefix="nvimgcodec-") as chosen:
        for library in shipped.glob("libjpeg_turbo_ext.so*"):
            (pathlib.Path(chosen) / library.name).symlink_to(library)
        settings = {"NVIMGCODEC_EXTENSIONS_PATH": chosen, "PYNVIMGCODEC_VERBOSITY": "0"}
        before = {name: os.environ.get(name) for name in settings}
        os.environ.update(settings)
        try:
            from nvidia import nvimgcodec as package

            package.Decoder(device_id=package.NVIMGCODEC_DEVICE_CPU_ONLY)  # reads the settings
        finally:
            for name, value in before.items():
                os.environ.pop(name) if value is None else os.environ.update({name: value})
    return package
