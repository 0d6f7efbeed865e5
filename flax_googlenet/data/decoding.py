"""Encoded bytes to uint8 pixels of the network's size, on the host."""

import math

import cv2
import numpy as np
import PIL.Image
from ml_collections import FrozenConfigDict

from flax_googlenet.errors import UserError

# Images are decoded in parallel by the caller; OpenCV's own threads would compete.
cv2.setNumThreads(1)


def decode(encoded: bytes, name: str) -> np.ndarray:
    """Decode an image file of any common format, rotated as its EXIF data says.

    Args:
      encoded: the file's bytes.
      name: what to call it in an error.

    Returns:
      uint8 [height, width, 3], red first.

    Raises:
      UserError: the bytes are not an image.
    """
    image = None
    if encoded:
        try:
            image = cv2.imdecode(np.frombuffer(encoded, np.uint8), cv2.IMREAD_COLOR_RGB)
        except cv2.error:  # a header that promises more pixels than are sane
            image = None
    if image is None:
        raise UserError(f"{name} is not an image that can be decoded; remove it or replace it.")
    return image


def resize(image: np.ndarray, height: int, width: int, interpolation: str = "area") -> np.ndarray:
    """Resize.

    Args:
      image: uint8 [height, width, 3].
      height, width: wanted.
      interpolation: "area", by area averaging when shrinking and linearly when growing;
        "linear", OpenCV's, as Caffe resizes: 2x2 pixels whatever the scale;
        "antialias", Pillow's bilinear filter, wider when shrinking, as torchvision resizes.
    """
    if image.shape[:2] == (height, width):
        return image
    if interpolation == "antialias":
        resized = PIL.Image.fromarray(image).resize((width, height), PIL.Image.Resampling.BILINEAR)
        return np.asarray(resized)
    shrinks = height * width < image.shape[0] * image.shape[1]
    by_area = shrinks and interpolation == "area"
    return cv2.resize(image, (width, height), interpolation=cv2.INTER_AREA if by_area else cv2.INTER_LINEAR)


def scale(
    image: np.ndarray, shorter_side: int, *, stretch: bool = False, interpolation: str = "area"
) -> np.ndarray:
    """Scale the shorter side to `shorter_side`, and the longer with it, rounded down as torchvision does.

    Args:
      image: uint8 [height, width, 3].
      shorter_side: in pixels.
      stretch: scale both sides to `shorter_side`.
      interpolation: see `resize`.
    """
    height, width = image.shape[:2]
    shortest = min(height, width)
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
    height, width = scaled.shape[:2]
    top, left = round((height - size) / 2), round((width - size) / 2)
    return scaled[top : top + size, left : left + size]


def random_resized_box(height: int, width: int, uniforms: np.ndarray) -> tuple[int, int, int, int]:
    """The paper's training crop: 8-100 % of the area, aspect ratio 3/4 to 4/3 (section 6).

    Ten proposals; should none fit, the largest central crop of a permitted aspect.

    Args:
      height, width: of the image.
      uniforms: 40 numbers in [0, 1), four a proposal.

    Returns:
      top, left, height, width of the crop.
    """
    for area_u, aspect_u, top_u, left_u in np.asarray(uniforms).reshape(10, 4):
        area = height * width * (0.08 + 0.92 * area_u)
        aspect = math.exp((2 * aspect_u - 1) * math.log(4 / 3))
        crop_width, crop_height = round(math.sqrt(area * aspect)), round(math.sqrt(area / aspect))
        if 0 < crop_width <= width and 0 < crop_height <= height:
            top = int(top_u * (height - crop_height + 1))
            left = int(left_u * (width - crop_width + 1))
            return top, left, crop_height, crop_width
    crop_width = min(width, max(1, round(height * 4 / 3)))
    crop_height = min(height, max(1, round(width * 4 / 3)))
    return (height - crop_height) // 2, (width - crop_width) // 2, crop_height, crop_width


def prepare(image: np.ndarray, data: FrozenConfigDict, uniforms: np.ndarray | None = None) -> np.ndarray:
    """Crop and resize to `config.data.image_size`.

    Args:
      image: uint8 [height, width, 3].
      data: the section `data` of a config.
      uniforms: 40 numbers in [0, 1) for a training image, None for evaluation.

    Returns:
      uint8 [image_size, image_size, 3].
    """
    size = data.image_size
    if uniforms is None or data.train_crop == "center":
        return center_crop(image, data.resize, size, stretch=data.stretch, interpolation=data.interpolation)
    top, left, height, width = random_resized_box(image.shape[0], image.shape[1], uniforms)
    return resize(image[top : top + height, left : left + width], size, size, data.interpolation)
