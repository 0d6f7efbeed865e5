"""Resizing of uint8 images on the host."""

import cv2
import numpy as np
import PIL.Image
from jaxtyping import UInt8
from ml_collections import FrozenConfigDict

from flax_googlenet.data.images.boxes import center_box, crop

# The largest ratio of the longer to the shorter side. Scaling a line of pixels to a width of
# 256 would take gigabytes.
MAX_ASPECT = 64

_OPENCV = {
    "linear": cv2.INTER_LINEAR,
    "area": cv2.INTER_AREA,
    "nearest": cv2.INTER_NEAREST,
    "cubic": cv2.INTER_CUBIC,
}


def resize(
    image: UInt8[np.ndarray, "rows columns 3"],
    height: int,
    width: int,
    interpolation: str = "area",
    out: UInt8[np.ndarray, "{height} {width} 3"] | None = None,
) -> UInt8[np.ndarray, "{height} {width} 3"]:
    """Resize an image.

    Args:
      image: the image to resize.
      height, width: the size of the result.
      interpolation: "area", area averaging for shrinking and linear interpolation for enlarging;
        "linear", OpenCV's, as in Caffe, which reads 2x2 pixels at any scale;
        "antialias", Pillow's bilinear filter, as in torchvision, which is wider for shrinking;
        "nearest" or "cubic", OpenCV's.
      out: the array to write to, instead of a new one.
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
    image: UInt8[np.ndarray, "rows columns 3"],
    shorter_side: int,
    *,
    stretch: bool = False,
    interpolation: str = "area",
) -> UInt8[np.ndarray, "height width 3"]:
    """Scale the shorter side of an image to a length, and the longer side in proportion.

    The longer side is rounded down, as in torchvision. If it is more than 64 times as long as the
    shorter side, the image is cropped to that ratio first.

    Args:
      image: the image to scale.
      shorter_side: its new length in pixels.
      stretch: whether to scale both sides to `shorter_side`.
      interpolation: see `resize`.
    """
    rows, columns = image.shape[:2]
    shortest = min(rows, columns)
    height, width = min(rows, MAX_ASPECT * shortest), min(columns, MAX_ASPECT * shortest)
    image = crop(image, center_box(rows, columns, height, width))
    if stretch:
        return resize(image, shorter_side, shorter_side, interpolation)
    return resize(image, shorter_side * height // shortest, shorter_side * width // shortest, interpolation)


def center_crop(
    image: UInt8[np.ndarray, "rows columns 3"],
    shorter_side: int,
    size: int,
    *,
    stretch: bool = False,
    interpolation: str = "area",
) -> UInt8[np.ndarray, "{size} {size} 3"]:
    """Scale an image as `scale` does, but to no less than `size`, and crop the center."""
    scaled = scale(image, max(shorter_side, size), stretch=stretch, interpolation=interpolation)
    height, width = scaled.shape[:2]
    return crop(scaled, center_box(height, width, size, size))


def resize_and_crop(
    image: UInt8[np.ndarray, "rows columns 3"], data: FrozenConfigDict
) -> UInt8[np.ndarray, "{data.image_size} {data.image_size} 3"]:
    """Return the center crop for single-crop evaluation.

    Args:
      image: a decoded image.
      data: the data section of a resolved config.
    """
    return center_crop(
        image, data.resize, data.image_size, stretch=data.stretch, interpolation=data.interpolation
    )
