"""Decoding of JPEG files in full, at a fraction of their size, or inside a box.

All three give the pixels that libjpeg-turbo gives for the whole file. Decoding a box requires
reading the entropy coding down to its last row, which is most of the work. If the package
nvimgcodec is installed, the rest of the work is done only for the box.
"""

import functools
import importlib.util
import os
import pathlib
import re
import tempfile
import threading
from collections.abc import Callable, Iterator
from typing import Any, Literal, NamedTuple

import numpy as np
import simplejpeg
from jaxtyping import UInt8

from flax_googlenet.data.images.boxes import Box, crop

SCALES = (8, 4, 2)  # factors at which libjpeg-turbo decodes a smaller version faster

_EXIF, _ORIENTATION, _UPRIGHT = b"Exif\0\0", 0x0112, 1
_UNKNOWN = 0  # not one of EXIF's orientations
_SHORT, _LONG = 3, 4  # types of EXIF's integers
_START_OF_IMAGE, _END_OF_IMAGE = b"\xff\xd8", b"\xff\xd9"
_START_OF_SCAN, _APP1 = 0xDA, 0xE1
_FILL = 0xFF
_MARKER = re.compile(rb"\xff([^\0\xff])", re.DOTALL)
_STANDALONE = frozenset({0x01, *range(0xD0, 0xD9)})  # markers without length and content
_START_OF_FRAME = frozenset({*range(0xC0, 0xD0)} - {0xC4, 0xC8, 0xCC})
_BASELINE, _EXTENDED = 0xC0, 0xC1

Pixels = UInt8[np.ndarray, "height width 3"]
_Decode = Callable[[], Pixels | None]


class Header(NamedTuple):
    """The header of a JPEG file.

    Attributes:
      height, width: the size in pixels.
      sequential: whether the image is coded from top to bottom, not in passes.
    """

    height: int
    width: int
    sequential: bool


def read_header(encoded: bytes) -> Header | None:
    """Return the header of a gray or color JPEG file that is complete and upright; otherwise None.

    >>> read_header(simplejpeg.encode_jpeg(np.zeros((8, 12, 3), np.uint8)))
    Header(height=8, width=12, sequential=True)
    >>> read_header(b"something else")
    """
    # A truncated file has no end marker. Some cameras write a few more bytes after it.
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
        if encoded.find(_EXIF, 0, start) >= 0:  # OpenCV may find EXIF data where `_segments` does not
            return None
    elif _orientation(exif) != _UPRIGHT:
        return None
    if (size_and_colors := _read_size_and_colors(encoded)) is None:
        return None
    height, width, colors = size_and_colors
    return Header(height, width, frame in (_BASELINE, _EXTENDED)) if colors in ("YCbCr", "Gray") else None


def read_size(encoded: bytes) -> tuple[int, int] | None:
    """Return the height and width of any JPEG file from its header; None for other files."""
    if not encoded.startswith(_START_OF_IMAGE):
        return None
    size_and_colors = _read_size_and_colors(encoded)
    return size_and_colors[:2] if size_and_colors else None


def _read_size_and_colors(encoded: bytes) -> tuple[int, int, str] | None:
    try:
        height, width, colors, _ = simplejpeg.decode_jpeg_header(encoded)
    except (ValueError, KeyError):  # KeyError: simplejpeg has no name for the subsampling 4:4:1
        return None
    return height, width, colors


def _segments(encoded: bytes) -> Iterator[tuple[int, int, int]]:
    """Yield the marker, start and end of each segment up to the first scan, as libjpeg finds them.

    Any number of FF bytes may precede a marker, and bytes outside of segments are skipped.
    """
    position = len(_START_OF_IMAGE)
    while True:
        # Nearly always a marker is there at once, and a search would take as long as all else.
        if (
            position + 1 < len(encoded)
            and encoded[position] == _FILL
            and 0 < (marker := encoded[position + 1]) < _FILL
        ):
            start = position + 2
        elif match := _MARKER.search(encoded, position):
            marker, start = match[1][0], match.end()
        else:
            return
        if marker in _STANDALONE:
            position = start
            continue
        if marker == _END_OF_IMAGE[1]:
            return
        position = start + max(int.from_bytes(encoded[start : start + 2]), 2)
        yield marker, start + 2, position
        if marker == _START_OF_SCAN:
            return


def _orientation(exif: bytes) -> int:
    """Return the orientation in EXIF data: upright if it is missing, unknown if the data are corrupt."""
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


def decode_scaled(encoded: bytes, header: Header, factor: int = 1) -> Pixels | None:
    """Decode an image at a fraction of its size, rounded up.

    Args:
      encoded: the bytes of a file.
      header: its header.
      factor: 1, 2, 4 or 8; 8 decodes at 1/8 of the height and width.

    Returns:
      The pixels, red first; None if the file is corrupt.
    """
    # simplejpeg chooses the smallest of libjpeg's sizes that is at least this large.
    height, width = -(-header.height // factor), -(-header.width // factor)
    try:
        image: Pixels = simplejpeg.decode_jpeg(encoded, min_height=height, min_width=width)
    except ValueError:
        return None
    return image


def first_warning(encoded: bytes) -> str:
    """Return libjpeg-turbo's first warning about a JPEG file that it decodes, or "" without warnings.

    >>> first_warning(simplejpeg.encode_jpeg(np.zeros((8, 12, 3), np.uint8)))
    ''
    """
    if not encoded.startswith(_START_OF_IMAGE):
        return ""
    for read in (simplejpeg.decode_jpeg_header, simplejpeg.decode_jpeg):
        try:
            read(encoded)
        except KeyError:  # simplejpeg decodes a subsampling that it has no name for
            continue
        except ValueError as error:
            try:
                read(encoded, strict=False)
            except (ValueError, KeyError):  # an error, not a warning: simplejpeg does not decode this kind
                return ""
            return str(error)
    return ""


def open_box(encoded: bytes, header: Header, box: Box) -> _Decode:
    """Prepare to decode the part of an image inside a box, with the pixels of `decode_scaled`.

    Returns:
      A function that decodes it, to be called by the same thread. It returns the pixels, red first; None if
      the file is corrupt.
    """
    # nvimgcodec smooths single columns, and the lower edge of progressive images, differently.
    open_region = _region_opener() if header.sequential and box.width > 1 else None
    if open_region is not None:
        return open_region(encoded, box)

    def decode() -> Pixels | None:
        image = decode_scaled(encoded, header)
        return None if image is None else crop(image, box)

    return decode


_thread = threading.local()


def _region_opener() -> Callable[[bytes, Box], _Decode] | None:
    """Return this thread's `open_box` with nvimgcodec; None if it is not installed."""
    if not hasattr(_thread, "open_region"):
        _thread.open_region = _make_region_opener()
    opener: Callable[[bytes, Box], _Decode] | None = _thread.open_region
    return opener


def _make_region_opener() -> Callable[[bytes, Box], _Decode] | None:
    package = import_nvimgcodec()
    if package is None:
        return None
    cpu = package.Backend(package.BackendKind.CPU_ONLY)
    decoder = package.Decoder(
        device_id=package.NVIMGCODEC_DEVICE_CPU_ONLY, max_num_cpu_threads=1, backends=[cpu]
    )
    parameters = package.DecodeParams(apply_exif_orientation=False, color_spec=package.ColorSpec.SRGB)

    def open_region(encoded: bytes, box: Box) -> _Decode:
        region = package.Region(box.top, box.left, box.top + box.height, box.left + box.width)
        part = package.CodeStream(encoded).get_sub_code_stream(region=region)
        return functools.partial(decode_region, part)

    def decode_region(part: Any) -> Pixels | None:
        image = decoder.decode(part, params=parameters)
        return None if image is None else np.asarray(image.cpu())

    return open_region


_importing = threading.Lock()


def import_nvimgcodec() -> Any:
    """Return the package nvidia.nvimgcodec, or None if it is not installed."""
    with _importing:
        return _import_nvimgcodec()


@functools.cache
def _import_nvimgcodec() -> Any:
    """Import nvimgcodec with only libjpeg-turbo. It would warn about every missing GPU codec otherwise."""
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
        previous = {name: os.environ.get(name) for name in settings}
        os.environ.update(settings)
        try:
            from nvidia import nvimgcodec as package

            package.Decoder(device_id=package.NVIMGCODEC_DEVICE_CPU_ONLY)  # reads the settings
        finally:
            for name, value in previous.items():
                os.environ.pop(name) if value is None else os.environ.update({name: value})
    return package
