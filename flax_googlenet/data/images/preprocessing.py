"""Pixels of any size to those of the network's, on the host."""

import math

import cv2
import numpy as np
import PIL.Image
from ml_collections import FrozenConfigDict

from flax_googlenet.data.images import decoding
from flax_googlenet.data.images.jpeg import Box, cut

# The paper's "mixed" ones, drawn with equal probability where the config says "random" (section 6).
RANDOM_INTERPOLATIONS = ("linear", "area", "nearest", "cubic")

# Of the longer side to the shorter. Scaling a line of pixels to 256 pixels across would take gigabytes.
MAX_ASPECT = 64

# How many numbers decide a training image: ten proposals of four, and the interpolation.
UNIFORMS = 41

_OPENCV = {
    "linear": cv2.INTER_LINEAR,
    "area": cv2.INTER_AREA,
    "nearest": cv2.INTER_NEAREST,
    "cubic": cv2.INTER_CUBIC,
}


def resize(
    image: np.ndarray, height: int, width: int, interpolation: str = "area", out: np.ndarray | None = None
) -> np.ndarray:
    """Resize.

    Args:
      image: uint8 [height, width, 3].
      height, width: wanted.
      interpolation: "area", by area averaging when shrinking and linearly when growing;
        "linear", OpenCV's, as Caffe resizes: 2x2 pixels whatever the scale;
        "antialias", Pillow's bilinear filter, wider when shrinking, as torchvision resizes;
        "nearest" and "cubic", OpenCV's.
      out: uint8 [height, width, 3], to write to.
    """
    if image.shape[:2] == (height, width):
        resized = image
    elif interpolation == "antialias":
        pillow = PIL.Image.fromarray(image).resize((width, height), PIL.Image.Resampling.BILINEAR)
        resized = np.asarray(pillow)
    else:
        shrinks = height * width < image.shape[0] * image.shape[1]
        if interpolation == "area" and not shrinks:
            interpolation = "linear"
        return cv2.resize(image, (width, height), dst=out, interpolation=_OPENCV[interpolation])
    if out is None:
        return resized
    out[...] = resized
    return out


def scale(
    image: np.ndarray, shorter_side: int, *, stretch: bool = False, interpolation: str = "area"
) -> np.ndarray:
    """Scale the shorter side to `shorter_side`, and the longer with it, rounded down as torchvision does.

    Of an image that is more than 64 times as long as wide, the ends are left out.

    Args:
      image: uint8 [height, width, 3].
      shorter_side: in pixels.
      stretch: scale both sides to `shorter_side`.
      interpolation: see `resize`.
    """
    shortest = min(image.shape[:2])
    image = cut_center(image, *(min(side, MAX_ASPECT * shortest) for side in image.shape[:2]))
    height, width = image.shape[:2]
    if stretch:
        height = width = shorter_side
    else:
        height, width = shorter_side * height // shortest, shorter_side * width // shortest
    return resize(image, height, width, interpolation)


def center_crop(
    image: np.ndarray, shorter_side: int, size: int, *, stretch: bool = False, interpolation: str = "area"
) -> np.ndarray:
    """Scale the shorter side to `shorter_side`, or `size` if that is more, and cut the centre.

    The edges are rounded as torchvision rounds them.
    """
    scaled = scale(image, max(shorter_side, size), stretch=stretch, interpolation=interpolation)
    return cut_center(scaled, size, size)


def cut_center(image: np.ndarray, height: int, width: int) -> np.ndarray:
    """The part of that size in the middle; of the two nearest to it, where torchvision's centre crop lies."""
    top, left = round((image.shape[0] - height) / 2), round((image.shape[1] - width) / 2)
    return cut(image, Box(top, left, height, width))


def random_resized_box(height: int, width: int, uniforms: np.ndarray) -> Box:
    """The paper's training crop: 8-100 % of the area, aspect ratio 3/4 to 4/3 (section 6).

    Ten proposals; should none fit, the largest central crop of a permitted aspect.

    Args:
      height, width: of the image.
      uniforms: 40 numbers in [0, 1), four a proposal.
    """
    for area_u, aspect_u, top_u, left_u in np.asarray(uniforms).reshape(10, 4).tolist():
        area = height * width * (0.08 + 0.92 * area_u)
        aspect = math.exp((2 * aspect_u - 1) * math.log(4 / 3))
        crop_width, crop_height = round(math.sqrt(area * aspect)), round(math.sqrt(area / aspect))
        if 0 < crop_width <= width and 0 < crop_height <= height:
            top = int(top_u * (height - crop_height + 1))
            left = int(left_u * (width - crop_width + 1))
            return Box(top, left, crop_height, crop_width)
    crop_width = min(width, max(1, round(height * 4 / 3)))
    crop_height = min(height, max(1, round(width * 4 / 3)))
    return Box((height - crop_height) // 2, (width - crop_width) // 2, crop_height, crop_width)


def prepare(image: np.ndarray, data: FrozenConfigDict) -> np.ndarray:
    """The centre of an image, at `config.data.image_size`, as it is evaluated.

    Args:
      image: uint8 [height, width, 3].
      data: the section `data` of a config.

    Returns:
      uint8 [image_size, image_size, 3].
    """
    return center_crop(
        image, data.resize, data.image_size, stretch=data.stretch, interpolation=data.interpolation
    )


def prepare_to_train(
    encoded: bytes, name: str, data: FrozenConfigDict, uniforms: np.ndarray, out: np.ndarray
) -> None:
    """Decode what the training crop needs and resize it.

    Args:
      encoded: an image file.
      name: what to call it in an error.
      data: the section `data` of a config.
      uniforms: `UNIFORMS` numbers in [0, 1) that decide.
      out: uint8 [image_size, image_size, 3], to write to.

    Raises:
      CorruptImageError: it cannot be decoded.
    """
    size = data.image_size
    if data.train_crop == "center":
        out[...] = prepare(decoding.decode(encoded, name), data)
        return
    crop = decoding.decode_box(
        encoded,
        name,
        lambda height, width: random_resized_box(height, width, uniforms[: UNIFORMS - 1]),
        at_least=size,
    )
    interpolation = data.train_interpolation
    if interpolation == "random":
        interpolation = RANDOM_INTERPOLATIONS[int(uniforms[-1] * len(RANDOM_INTERPOLATIONS))]
    resize(_average(crop, size), size, size, interpolation, out)


def _average(image: np.ndarray, size: int) -> np.ndarray:
    """Average squares of pixels while both sides stay at least `size` long.

    A linear interpolation would skip pixels. Of most JPEG files the decoder has done it.
    """
    factor = min(image.shape[:2]) // size
    if factor < 2:
        return image
    height, width = image.shape[0] // factor, image.shape[1] // factor
    whole = image[: height * factor, : width * factor]
    return cv2.resize(whole, (width, height), interpolation=cv2.INTER_AREA)
