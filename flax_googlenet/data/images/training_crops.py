"""Training crops, decoded from image files into the rows of a batch."""

import functools
from collections.abc import Callable, Sequence
from typing import NamedTuple, Self

import cv2
import numpy as np
from jaxtyping import UInt8
from ml_collections import FrozenConfigDict

from flax_googlenet.data.images.boxes import BOX_UNIFORMS, Box, crop, random_resized_box
from flax_googlenet.data.images.decoding import ImageFile, decode
from flax_googlenet.data.images.jpeg import Pixels
from flax_googlenet.data.images.resizing import resize, resize_and_crop, scale

# The paper mixes these with equal probability (section 6); "random" in a config draws one of them.
RANDOM_INTERPOLATIONS = ("linear", "area", "nearest", "cubic")

# Number of random numbers for a training crop: those of its box, and one for the interpolation.
UNIFORMS = BOX_UNIFORMS + 1


Crop = UInt8[np.ndarray, "size size 3"]


class TrainingCrops(NamedTuple):
    """The kind of training crops that a config asks for.

    The fields are those of the config, since a look-up in a config takes as long as all other arithmetic of
    a crop.

    Attributes:
      data: the data section of a resolved config.
      size, crop, interpolation: its keys `image_size`, `train_crop` and `train_interpolation`.
    """

    data: FrozenConfigDict
    size: int
    crop: str
    interpolation: str

    @classmethod
    def of(cls, data: FrozenConfigDict) -> Self:
        """Return the kind of training crops that the data section of a resolved config asks for."""
        return cls(data, data.image_size, data.train_crop, data.train_interpolation)

    def prepare(self, encoded: bytes, name: str, uniforms: Sequence[float]) -> Callable[[Crop], None]:
        """Read the header of an image file and choose the crop.

        Args:
          encoded: the bytes of an image file.
          name: identifies the image in error messages.
          uniforms: `UNIFORMS` numbers in [0, 1) that determine the crop.

        Returns:
          A function that decodes the part of the file that the crop needs, and resizes it into an array with
          sides of `size`, to be called by the same thread. It raises `CorruptImageError` if the file cannot
          be decoded.

        Raises:
          CorruptImageError: if the header cannot be read.
        """
        if self.crop == "center":
            return functools.partial(self._decode_center, encoded, name)
        if self.crop == "random":
            return functools.partial(self._decode_random, encoded, name, uniforms)
        file = ImageFile(encoded, name)
        box = random_resized_box(file.height, file.width, uniforms)
        interpolation = self.interpolation
        if interpolation == "random":
            interpolation = RANDOM_INTERPOLATIONS[int(uniforms[-1] * len(RANDOM_INTERPOLATIONS))]
        return functools.partial(self._decode_box, file.open_box(box, at_least=self.size), interpolation)

    def _decode_center(self, encoded: bytes, name: str, out: Crop) -> None:
        out[...] = resize_and_crop(decode(encoded, name), self.data)

    def _decode_random(self, encoded: bytes, name: str, uniforms: Sequence[float], out: Crop) -> None:
        data, size = self.data, self.size
        scaled = scale(
            decode(encoded, name),
            max(data.resize, size),
            stretch=data.stretch,
            interpolation=data.interpolation,
        )
        # A uniform number is below 1, so that the last place is as likely as the others.
        top, left = (
            int(uniform * (side - size + 1))
            for uniform, side in zip(uniforms, scaled.shape[:2], strict=False)
        )
        out[...] = crop(scaled, Box(top, left, size, size))

    def _decode_box(self, decode_part: Callable[[], Pixels], interpolation: str, out: Crop) -> None:
        resize(_average(decode_part(), self.size), self.size, self.size, interpolation, out)


def _average(image: UInt8[np.ndarray, "rows columns 3"], size: int) -> UInt8[np.ndarray, "height width 3"]:
    """Shrink an image by averaging squares of pixels, so that both sides stay at least `size` long.

    Linear interpolation alone would skip pixels. For most JPEG files the decoder has averaged already.
    """
    factor = min(image.shape[:2]) // size
    if factor < 2:
        return image
    height, width = image.shape[0] // factor, image.shape[1] // factor
    whole = image[: height * factor, : width * factor]
    return cv2.resize(whole, (width, height), interpolation=cv2.INTER_AREA)
