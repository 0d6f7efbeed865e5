"""Decoding of image files of any common format to uint8 pixels, with clear errors for corrupt files."""

import functools
import io
from collections.abc import Callable

import cv2
import numpy as np
import PIL.Image

from flax_googlenet.data.images import jpeg
from flax_googlenet.data.images.boxes import Box, crop
from flax_googlenet.data.images.jpeg import Pixels
from flax_googlenet.errors import CorruptImageError

# Callers decode images in parallel; OpenCV's own threads would compete with theirs.
cv2.setNumThreads(1)

# The size above which Pillow warns. The largest image of ImageNet has 61 million pixels.
MAX_PIXELS = 89_478_485


class ImageFile:
    """An image file whose size is known and whose parts can be decoded.

    Upright JPEG files are decoded on request. All other files are decoded in full when they are
    opened, because their size after rotation is only known then.

    Attributes:
      height, width: the size in pixels, after any rotation by EXIF data.
      may_have_warnings: whether the decoder that was used recovers from errors in a file; set once
        the image has been decoded.
    """

    def __init__(self, encoded: bytes, name: str) -> None:
        """Read the header of a file.

        Args:
          encoded: the bytes of the file.
          name: identifies the image in error messages.

        Raises:
          CorruptImageError: if the bytes are not an image, or the image has too many pixels.
        """
        self._encoded, self._name = encoded, name
        self._header = jpeg.read_header(encoded)
        self._whole: Pixels | None = None
        if self._header is not None:
            self.height, self.width = self._header.height, self._header.width
            _check_pixels(self.height, self.width, name)
        else:
            _check_pixels(*(jpeg.read_size(encoded) or _read_size(encoded, name)), name)
            self.height, self.width = self._decode_with_opencv().shape[:2]

    @property
    def may_have_warnings(self) -> bool:
        """See the class."""
        return self._whole is not None

    def decode(self) -> Pixels:
        """Decode the whole image.

        Raises:
          CorruptImageError: if the file cannot be decoded.
        """
        if self._header is not None and self._whole is None:
            image = jpeg.decode_scaled(self._encoded, self._header)
            if image is not None:
                return image
        return self._decode_with_opencv()

    def open_box(self, box: Box, *, at_least: int = 0) -> Callable[[], Pixels]:
        """Prepare to decode the part of the image inside a box.

        Args:
          box: the part, inside the image.
          at_least: the least side of the result in pixels, if the box is that large. A JPEG file whose
            box is 2, 4 or 8 times as large is decoded at 1/2, 1/4 or 1/8 of its size, where each
            pixel is the mean of those that it replaces. 0 decodes the box in full.

        Returns:
          A function that decodes it, to be called by the same thread. It raises `CorruptImageError` if the
          file cannot be decoded.
        """
        if self._header is None or self._whole is not None:
            return functools.partial(self._crop_whole, box)
        shorter = min(box.height, box.width)
        factor = next((factor for factor in jpeg.SCALES if at_least and shorter >= factor * at_least), 1)
        if factor > 1:
            return functools.partial(self._decode_scaled, box, factor)
        return functools.partial(self._decode_part, box, jpeg.open_box(self._encoded, self._header, box))

    def _decode_part(self, box: Box, decode: Callable[[], Pixels | None]) -> Pixels:
        part = decode()
        return self._crop_whole(box) if part is None else part

    def _decode_scaled(self, box: Box, factor: int) -> Pixels:
        assert self._header is not None
        smaller = jpeg.decode_scaled(self._encoded, self._header, factor)
        return (
            self._crop_whole(box)
            if smaller is None
            else crop(smaller, Box(*(edge // factor for edge in box)))
        )

    def _crop_whole(self, box: Box) -> Pixels:
        return crop(self._decode_with_opencv(), box)

    def _decode_with_opencv(self) -> Pixels:
        """Decode the whole image once, with a decoder that recovers from errors if possible."""
        if self._whole is None:
            try:
                image = cv2.imdecode(np.frombuffer(self._encoded, np.uint8), cv2.IMREAD_COLOR_RGB)
            except cv2.error as error:
                raise _corrupt(self._encoded, self._name) from error
            if image is None:
                raise _corrupt(self._encoded, self._name)
            self._whole = image
        return self._whole


def decode(encoded: bytes, name: str) -> Pixels:
    """Decode an image file of any common format, rotated according to its EXIF data.

    Gray becomes three channels, CMYK becomes RGB, 16 bits become 8, and transparency is dropped.

    Args:
      encoded: the bytes of the file. Its format is read from them, not from its name.
      name: identifies the image in error messages.

    Returns:
      The pixels, red first.

    Raises:
      CorruptImageError: if the bytes are not a complete image, or the image has too many pixels.
        Large images are refused before memory is allocated for them.
    """
    return ImageFile(encoded, name).decode()


def inspect(encoded: bytes, name: str) -> tuple[Pixels, str]:
    """Decode an image file as `decode` does, and return the decoder's first warning.

    Only libjpeg recovers with a warning; the decoders of other formats refuse corrupt files.

    Args:
      encoded, name: as for `decode`.

    Returns:
      The pixels, and libjpeg's first warning, or "" without warnings.

    Raises:
      CorruptImageError: as for `decode`.
    """
    file = ImageFile(encoded, name)
    image = file.decode()
    return image, jpeg.first_warning(encoded) if file.may_have_warnings else ""


def _read_size(encoded: bytes, name: str) -> tuple[int, int]:
    """Return the height and width of an image of any format, from its header."""
    try:
        with PIL.Image.open(io.BytesIO(encoded)) as header:
            width, height = header.size
    except (PIL.Image.DecompressionBombError, PIL.Image.DecompressionBombWarning) as error:
        raise _too_large(name) from error
    except Exception as error:  # Pillow's parsers raise errors of many kinds on corrupt files
        raise _corrupt(encoded, name) from error
    return height, width


def _check_pixels(height: int, width: int, name: str) -> None:
    if height * width > MAX_PIXELS:
        raise _too_large(name)


def _too_large(name: str) -> CorruptImageError:
    limit = f"{MAX_PIXELS / 1e6:.0f} million"
    return CorruptImageError(f"{name} has more than {limit} pixels; replace it by a smaller copy.")


def _corrupt(encoded: bytes, name: str) -> CorruptImageError:
    reason = "is not an image that can be decoded" if encoded else "is empty"
    return CorruptImageError(f"{name} {reason}; remove it or replace it.")
