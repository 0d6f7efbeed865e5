"""Training crops, decoded from image files into the rows of a batch."""

import cv2
import numpy as np
from jaxtyping import Float, UInt8
from ml_collections import FrozenConfigDict

from flax_googlenet.data.images.boxes import BOX_UNIFORMS, random_resized_box
from flax_googlenet.data.images.decoding import ImageFile, decode
from flax_googlenet.data.images.resizing import resize, resize_and_crop

# The paper mixes these with equal probability (section 6); "random" in a config draws one of them.
RANDOM_INTERPOLATIONS = ("linear", "area", "nearest", "cubic")

# Number of random numbers for a training crop: those of its box, and one for the interpolation.
UNIFORMS = BOX_UNIFORMS + 1


def decode_training_crop(
    encoded: bytes,
    name: str,
    data: FrozenConfigDict,
    uniforms: Float[np.ndarray, "41"],
    out: UInt8[np.ndarray, "{data.image_size} {data.image_size} 3"],
) -> None:
    """Decode the part of an image file that a training crop needs, and resize it.

    Args:
      encoded: the bytes of an image file.
      name: identifies the image in error messages.
      data: the data section of a resolved config.
      uniforms: numbers in [0, 1) that determine the crop.
      out: the array to write the crop to.

    Raises:
      CorruptImageError: if the file cannot be decoded.
    """
    size = data.image_size
    if data.train_crop == "center":
        out[...] = resize_and_crop(decode(encoded, name), data)
        return
    file = ImageFile(encoded, name)
    box = random_resized_box(file.height, file.width, uniforms[:BOX_UNIFORMS])
    part = file.decode_box(box, at_least=size)
    interpolation = data.train_interpolation
    if interpolation == "random":
        interpolation = RANDOM_INTERPOLATIONS[int(uniforms[-1] * len(RANDOM_INTERPOLATIONS))]
    resize(_average(part, size), size, size, interpolation, out)


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
