"""The evaluation crops of an image: one, ten, or the paper's 144 (section 7).

The host decodes an image once, scales it and crops squares. The device takes the crops from the
squares. For 144 crops there are four scales of three squares, and six crops of each
square with their horizontal flips; for ten crops, one square with five crops and their flips.

The left, center and right squares of an image that is stretched to a square are the same, so only
48 of the 144 crops are distinct. Only those are computed, since their mean is the mean of all.
"""

from collections.abc import Mapping

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, UInt8
from ml_collections import FrozenConfigDict

from flax_googlenet.data.images import resizing
from flax_googlenet.data.images.boxes import Box, crop

NUMBERS = (1, 10, 144)
PAPER_IMAGE_SIZE = 224
PAPER_SCALES = (256, 288, 320, 352)


def scales(data: FrozenConfigDict, crops: int) -> tuple[int, ...]:
    """Return the sides of the squares in pixels.

    The paper's scales are for an input size of 224, and other sizes scale them in proportion.
    """
    if crops != 144:
        return (max(data.resize, data.image_size),)
    return tuple(round(scale * data.image_size / PAPER_IMAGE_SIZE) for scale in PAPER_SCALES)


def places(data: FrozenConfigDict, crops: int) -> tuple[float, ...]:
    """Return the positions of the squares along the longer side, from 0 for its start to 1 for its end."""
    return (0.0, 0.5, 1.0) if crops == 144 and not data.stretch else (0.5,)


def distinct(data: FrozenConfigDict, crops: int) -> int:
    """Return the number of distinct crops, which `crop_squares` computes."""
    return crops * len(places(data, crops)) // 3 if crops == 144 else crops


def shapes(data: FrozenConfigDict, crops: int) -> dict[str, tuple[int, ...]]:
    """Return the shape of each array of `host_squares`."""
    if crops == 1:
        return {"image": (data.image_size, data.image_size, 3)}
    squares = len(places(data, crops))
    return {f"squares_{side}": (squares, side, side, 3) for side in scales(data, crops)}


def host_squares(
    image: UInt8[np.ndarray, "height width 3"], data: FrozenConfigDict, crops: int
) -> dict[str, UInt8[np.ndarray, "..."]]:
    """Return the parts of an image from which the device takes the crops.

    Args:
      image: a decoded image.
      data: the data section of a resolved config.
      crops: 1, 10 or 144.

    Returns:
      "image", the center crop of shape [size, size, 3], for one crop. Otherwise "squares_SIDE" of
      shape [squares, SIDE, SIDE, 3] for each scale: the center square, or the left, center and
      right squares (top, center and bottom if the image is higher than wide).
    """
    if crops == 1:
        return {"image": resizing.resize_and_crop(image, data)}
    squares = {}
    for side in scales(data, crops):
        scaled = resizing.scale(image, side, stretch=data.stretch, interpolation=data.interpolation)
        height, width = scaled.shape[:2]
        boxes = [
            Box(round((height - side) * place), round((width - side) * place), side, side)
            for place in places(data, crops)
        ]
        squares[f"squares_{side}"] = np.stack([crop(scaled, box) for box in boxes])
    return squares


def crop_squares(
    batch: Mapping[str, Array], size: int, crops: int
) -> UInt8[Array, "crops batch {size} {size} 3"]:
    """Return the distinct crops of a batch, on the device.

    They are the four corners and the center of each square, the resized square itself for 144
    crops, and the horizontal flips of all these.

    Args:
      batch: arrays of `host_squares` with a leading batch axis. Other arrays are ignored.
      size: the side of a crop in pixels.
      crops: 1, 10 or 144.
    """
    if crops == 1:
        return batch["image"][None]
    upright = []
    for name, squares in batch.items():
        if not name.startswith("squares_"):
            continue
        for square in jnp.moveaxis(squares, 1, 0):
            side = square.shape[1]
            far, middle = side - size, round((side - size) / 2)
            corners = ((0, 0), (0, far), (far, 0), (far, far), (middle, middle))
            upright += [square[:, top : top + size, left : left + size] for top, left in corners]
            if crops == 144:
                upright.append(_resize_squares(square, size))
    stacked = jnp.stack(upright)
    return jnp.concatenate([stacked, stacked[..., ::-1, :]])


def _resize_squares(
    squares: UInt8[Array, "batch side side 3"], size: int
) -> UInt8[Array, "batch {size} {size} 3"]:
    pixels = squares.astype(jnp.float32)
    resized = jax.image.resize(pixels, (squares.shape[0], size, size, 3), "linear", antialias=True)
    return jnp.clip(jnp.round(resized), 0, 255).astype(jnp.uint8)
