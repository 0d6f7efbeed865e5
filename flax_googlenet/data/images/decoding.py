"""Encoded bytes to uint8 pixels, on the host, whatever the format and the state of the file."""

import io
from collections.abc import Callable

import cv2
import numpy as np
import PIL.Image

from flax_googlenet.data.images import jpeg
from flax_googlenet.data.images.jpeg import Box, cut
from flax_googlenet.errors import CorruptImageError

# Images are decoded in parallel by the caller; OpenCV's own threads would compete.
cv2.setNumThreads(1)

# Pillow's, above which it warns. The largest image of ImageNet has 61 million.
MAX_PIXELS = 89_478_485


def decode(encoded: bytes, name: str) -> np.ndarray:
    """Decode an image file of any common format, rotated as its EXIF data says.

    Grey becomes three channels, CMYK becomes RGB, 16 bits become 8, and transparency is left out.

    Args:
      encoded: the file's bytes; what it is called does not matter.
      name: what to call it in an error.

    Returns:
      uint8 [height, width, 3], red first.

    Raises:
      CorruptImageError: the bytes are not an image, not all of one, or one that is refused
        for its size before anything is allocated.
    """
    return _decode(encoded, name)[0]


def inspect(encoded: bytes, name: str) -> tuple[np.ndarray, str]:
    """Decode as `decode` does, and say what damage the decoder worked around.

    Only libjpeg works around damage; the decoders of other formats refuse what they notice.

    Args:
      encoded, name: as in `decode`.

    Returns:
      The image, and libjpeg's first warning; "" if the file is sound.

    Raises:
      CorruptImageError: as in `decode`.
    """
    image, is_sound = _decode(encoded, name)
    return image, "" if is_sound else jpeg.warning(encoded)


def _decode(encoded: bytes, name: str) -> tuple[np.ndarray, bool]:
    """Decode, and tell whether the file is known to be sound."""
    if (header := jpeg.read_header(encoded)) is not None:
        _check_pixels(header.height, header.width, name)
        image = jpeg.decode(encoded, header)
        if image is not None:
            return image, True
    return _decode_any(encoded, name), False


def decode_box(
    encoded: bytes, name: str, choose: Callable[[int, int], Box], *, at_least: int = 0
) -> np.ndarray:
    """Decode a part of an image.

    Args:
      encoded, name: as in `decode`.
      choose: the part, from the height and width of the image.
      at_least: pixels that either side of the result must have, where the part has them. A
        part of a JPEG that is 2, 4 or 8 times as large is decoded at 1/2, 1/4 or 1/8 of
        its size, each pixel being the mean of those it stands for; 0: in full.

    Returns:
      uint8 [height, width, 3], red first.

    Raises:
      CorruptImageError: as in `decode`.
    """
    if (header := jpeg.read_header(encoded)) is not None:
        _check_pixels(header.height, header.width, name)
        box = choose(header.height, header.width)
        scale = next((each for each in jpeg.SCALES if at_least and min(box[2:]) >= each * at_least), 1)
        if scale == 1:
            part = jpeg.decode_box(encoded, header, box)
            if part is not None:
                return part
        elif (smaller := jpeg.decode(encoded, header, scale)) is not None:
            return cut(smaller, Box(*(each // scale for each in box)))
    image = _decode_any(encoded, name)
    return cut(image, choose(*image.shape[:2]))


def _decode_any(encoded: bytes, name: str) -> np.ndarray:
    height, width = jpeg.read_size(encoded) or _read_size(encoded, name)
    _check_pixels(height, width, name)
    try:
        image = cv2.imdecode(np.frombuffer(encoded, np.uint8), cv2.IMREAD_COLOR_RGB)
    except cv2.error as error:
        raise _broken(encoded, name) from error
    if image is None:
        raise _broken(encoded, name)
    return image


def _read_size(encoded: bytes, name: str) -> tuple[int, int]:
    """Return height and width of an image of any format, without decoding it."""
    try:
        with PIL.Image.open(io.BytesIO(encoded)) as header:
            width, height = header.size
    except (PIL.Image.DecompressionBombError, PIL.Image.DecompressionBombWarning) as error:
        raise _too_large(name) from error
    except Exception as error:  # Pillow's parsers raise whatever the damage makes them trip over
        raise _broken(encoded, name) from error
    return height, width


def _check_pixels(height: int, width: int, name: str) -> None:
    if height * width > MAX_PIXELS:
        raise _too_large(name)


def _too_large(name: str) -> CorruptImageError:
    limit = f"{MAX_PIXELS / 1e6:.0f} million"
    return CorruptImageError(f"{name} has more than {limit} pixels; replace it by a smaller copy.")


def _broken(encoded: bytes, name: str) -> CorruptImageError:
    what = "is not an image that can be decoded" if encoded else "is empty"
    return CorruptImageError(f"{name} {what}; remove it or replace it.")
