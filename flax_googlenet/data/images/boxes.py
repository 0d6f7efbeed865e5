"""Boxes, the rectangular parts of images that become crops."""

import math
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from jaxtyping import UInt8

# Number of random numbers for a random box: four for each of ten proposals.
BOX_UNIFORMS = 40

_LOG_ASPECT = math.log(4 / 3)  # of the widest box


class Box(NamedTuple):
    """A rectangular part of an image, in pixels."""

    top: int
    left: int
    height: int
    width: int


def crop(image: UInt8[np.ndarray, "height width 3"], box: Box) -> UInt8[np.ndarray, "rows columns 3"]:
    """Return a view of the part of an image inside a box."""
    return image[box.top : box.top + box.height, box.left : box.left + box.width]


def center_box(image_height: int, image_width: int, height: int, width: int) -> Box:
    """Return the central box of a given size, with edges rounded as in torchvision's center crop.

    >>> center_box(5, 9, 2, 4)
    Box(top=2, left=2, height=2, width=4)
    """
    return Box(round((image_height - height) / 2), round((image_width - width) / 2), height, width)


def random_resized_box(height: int, width: int, uniforms: Sequence[float]) -> Box:
    """Return the box of the paper's training crop (section 6).

    It covers 8% to 100% of the area, with an aspect ratio of 3/4 to 4/3. The first of ten proposals
    that fits is taken. If none fits, the result is the largest central box of a permitted aspect
    ratio.

    Args:
      height, width: the size of the image.
      uniforms: numbers in [0, 1), four per proposal.
    """
    for start in range(0, BOX_UNIFORMS, 4):
        area_u, aspect_u, top_u, left_u = uniforms[start : start + 4]
        area = height * width * (0.08 + 0.92 * area_u)
        aspect = math.exp((2 * aspect_u - 1) * _LOG_ASPECT)
        box_width, box_height = round(math.sqrt(area * aspect)), round(math.sqrt(area / aspect))
        if 0 < box_width <= width and 0 < box_height <= height:
            top = int(top_u * (height - box_height + 1))
            left = int(left_u * (width - box_width + 1))
            return Box(top, left, box_height, box_width)
    box_width = min(width, max(1, round(height * 4 / 3)))
    box_height = min(height, max(1, round(width * 4 / 3)))
    return Box((height - box_height) // 2, (width - box_width) // 2, box_height, box_width)
