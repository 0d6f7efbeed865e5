"""JPEG files, and no more of them than is wanted: the whole, a smaller whole, or a part.

All three give the pixels that libjpeg-turbo gives for the whole file. Of a part, its
entropy coding has to be read down to the last row, which is most of the work; the rest
is left out where the package nvimgcodec is installed.
"""

import functools
import importlib.util
import io
import os
import pathlib
import tempfile
import threading
from typing import Any, NamedTuple

import numpy as np
import PIL.Image
import simplejpeg

SCALES = (8, 4, 2)  # at which libjpeg-turbo decodes faster than in full

_EXIF, _ORIENTATION, _UPRIGHT = b"Exif\0\0", 0x0112, 1
_END_OF_IMAGE = b"\xff\xd9"
_START_OF_SCAN, _APP1 = 0xDA, 0xE1
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
    if not encoded.startswith(b"\xff\xd8") or encoded.find(_END_OF_IMAGE, -1024) < 0:
        return None
    frame = None
    at = 2
    while at + 4 <= len(encoded) and (marker := encoded[at + 1]) != _START_OF_SCAN:
        if marker == _APP1 and encoded.startswith(_EXIF, at + 4) and not _is_upright(encoded):
            return None
        if marker in _START_OF_FRAME:
            frame = marker
        at += 2 + int.from_bytes(encoded[at + 2 : at + 4])
    try:
        height, width, colors, _ = simplejpeg.decode_jpeg_header(encoded)
    except ValueError:
        return None
    return Header(height, width, frame in (_BASELINE, _EXTENDED)) if colors in ("YCbCr", "Gray") else None


def _is_upright(encoded: bytes) -> bool:
    try:
        exif = PIL.Image.open(io.BytesIO(encoded)).getexif()
    except (OSError, ValueError, SyntaxError, PIL.Image.DecompressionBombWarning):
        return False  # whoever decodes it as a file of any format says what is wrong
    return bool(exif.get(_ORIENTATION, _UPRIGHT) == _UPRIGHT)


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
