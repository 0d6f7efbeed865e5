"""The crops that an image is evaluated on: one, ten, or the paper's 144 (section 7).

The host decodes an image once, scales it, and cuts squares of it; the device cuts the
crops from the squares. Of 144 crops, four scales have three squares each, and each
square six crops and their mirror images; of ten, one square has five and theirs.

An image that is stretched to a square is its own left, centre and right square: of the 144
crops 48 are distinct, each three times. Those are computed once; their mean is the mean of all.
"""

import jax
import jax.numpy as jnp
import numpy as np
from ml_collections import FrozenConfigDict

from flax_googlenet.data.images import preprocessing

NUMBERS = (1, 10, 144)
PAPER_IMAGE_SIZE = 224
PAPER_SCALES = (256, 288, 320, 352)


def scales(data: FrozenConfigDict, crops: int) -> tuple[int, ...]:
    """Lengths of the shorter side, in pixels, that the squares are cut at.

    For networks of another input size than 224 the paper's are changed in proportion.
    """
    if crops != 144:
        return (max(data.resize, data.image_size),)
    return tuple(round(scale * data.image_size / PAPER_IMAGE_SIZE) for scale in PAPER_SCALES)


def places(data: FrozenConfigDict, crops: int) -> tuple[float, ...]:
    """Where the squares lie along the longer side: 0 at its beginning, 1 at its end."""
    return (0.0, 0.5, 1.0) if crops == 144 and not data.stretch else (0.5,)


def distinct(data: FrozenConfigDict, crops: int) -> int:
    """Number of crops that `cut` gives: of 144, only those that differ."""
    return crops * len(places(data, crops)) // 3 if crops == 144 else crops


def shapes(data: FrozenConfigDict, crops: int) -> dict[str, tuple[int, ...]]:
    """Shape of each array of `prepare`."""
    if crops == 1:
        return {"image": (data.image_size, data.image_size, 3)}
    squares = len(places(data, crops))
    return {f"squares_{side}": (squares, side, side, 3) for side in scales(data, crops)}


def prepare(image: np.ndarray, data: FrozenConfigDict, crops: int) -> dict[str, np.ndarray]:
    """The host's part: what the device needs of an image.

    Args:
      image: uint8 [height, width, 3].
      data: the section `data` of a config.
      crops: 1, 10 or 144.

    Returns:
      "image", the centre crop; or "squares_SIDE", uint8 [squares, SIDE, SIDE, 3], for each
      scale: the centre square, or the left, centre and right one (top, centre, bottom of
      an upright image); of a stretched image, the whole.
    """
    if crops == 1:
        return {"image": preprocessing.prepare(image, data)}
    found = {}
    for side in scales(data, crops):
        scaled = preprocessing.scale(image, side, stretch=data.stretch, interpolation=data.interpolation)
        height, width = scaled.shape[:2]
        corners = [
            (round((height - side) * place), round((width - side) * place)) for place in places(data, crops)
        ]
        found[f"squares_{side}"] = np.stack(
            [scaled[top : top + side, left : left + side] for top, left in corners]
        )
    return found


def cut(batch: dict[str, jax.Array], size: int, crops: int) -> jax.Array:
    """The device's part: the crops of a batch.

    Of each square the four corners and the centre; of 144, also the square itself, resized;
    and all of them mirrored.

    Args:
      batch: of `prepare`, with a leading axis for the images.
      size: of a crop.
      crops: 1, 10 or 144.

    Returns:
      uint8 [crops, batch, size, size, 3]; `distinct` of them.
    """
    if crops == 1:
        return batch["image"][None]
    found = []
    for name, squares in batch.items():
        if not name.startswith("squares_"):
            continue
        for square in jnp.moveaxis(squares, 1, 0):
            side = square.shape[1]
            far, middle = side - size, round((side - size) / 2)
            corners = ((0, 0), (0, far), (far, 0), (far, far), (middle, middle))
            of_square = [square[:, top : top + size, left : left + size] for top, left in corners]
            if crops == 144:
                of_square.append(_resize(square, size))
            found += of_square
    upright = jnp.stack(found)
    return jnp.concatenate([upright, upright[..., ::-1, :]])


def _resize(square: jax.Array, size: int) -> jax.Array:
    wide = square.astype(jnp.float32)
    resized = jax.image.resize(wide, (square.shape[0], size, size, 3), "linear", antialias=True)
    return jnp.clip(jnp.round(resized), 0, 255).astype(jnp.uint8)
