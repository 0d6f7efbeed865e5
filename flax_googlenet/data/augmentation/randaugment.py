"""RandAugment (Cubuk et al. 2019) on the device, each image with its own operations.

The operations are Pillow's, which the paper's code used, and the ranges are its too, as
torchvision has them. What one image gets the others compute too, and throw away, as
accelerators have it; so operations share what they can: one resampling does for five of
them, one blending for four.
"""

# Written here because no library that is kept up has it for JAX, without TensorFlow, as the
# paper has it: that of Keras 3.15 draws operations for the whole batch, turns images in one
# direction up to 360 degrees times its factor, leaves fewer levels the weaker it is, and takes
# half a minute to compile; dm-pix and augmax have single operations.

import math

import jax
import jax.numpy as jnp

from flax_googlenet.data.augmentation import photometric

OPERATIONS = (
    "brightness",
    "contrast",
    "color",  # these three as in `photometric`
    "sharpness",
    "shear_x",
    "shear_y",
    "translate_x",
    "translate_y",
    "rotate",
    "posterize",
    "solarize",
    "auto_contrast",
    "equalize",
    "identity",
)
MAX_MAGNITUDE = 30


def randaugment(
    key: jax.Array, images: jax.Array, *, operations: int, magnitude: float, fill: jax.Array
) -> jax.Array:
    """A few operations on each image, one after the other, each drawn from all of them.

    Args:
      key: of the draws.
      images: float32 [batch, height, width, 3] in 0-255, red first.
      operations: how many.
      magnitude: how strong, from 0 to `MAX_MAGNITUDE`; which way, where there are two, is drawn.
      fill: colour of what comes into view, float32 [3].

    Returns:
      float32 in 0-255.
    """
    count = images.shape[0]
    for turn in range(operations):
        kind_key, sign_key = jax.random.split(jax.random.fold_in(key, turn))
        kind = jax.random.randint(kind_key, (count,), 0, len(OPERATIONS))
        sign = jnp.where(jax.random.bernoulli(sign_key, shape=(count,)), 1.0, -1.0)
        images = apply(images, kind, sign, magnitude / MAX_MAGNITUDE, fill)
    return images


def apply(images: jax.Array, kind: jax.Array, sign: jax.Array, strength: float, fill: jax.Array) -> jax.Array:
    """One operation on each image.

    Args:
      images: float32 [batch, height, width, 3] in 0-255.
      kind: indices into `OPERATIONS`, [batch].
      sign: 1 or -1, [batch].
      strength: from 0 to 1.
      fill: float32 [3].
    """
    is_sharpness = (kind == OPERATIONS.index("sharpness")).reshape(-1, 1, 1, 1)
    base = jnp.where(is_sharpness, _smooth(images), photometric.degenerate(images, kind))
    levels = jnp.round(images)  # as 8 bits would have them
    step = 2 ** round(4 * strength)
    results = [
        *[photometric.blend(base, images, 1 + 0.9 * strength * sign)] * 4,
        *[_affine(images, _matrices(kind, sign, strength, *images.shape[1:3]), fill)] * 5,
        jnp.floor(levels / step) * step,
        jnp.where(levels < 255 * (1 - strength), images, 255 - images),
        _auto_contrast(levels),
        _equalize(levels),
        images,
    ]
    kind = kind.reshape(-1, 1, 1, 1)
    return jnp.select([kind == index for index in range(len(results))], results)


def _smooth(images: jax.Array) -> jax.Array:
    """Pillow's filter SMOOTH: 5 for a pixel and 1 for its neighbours, over 13; not at the edges."""
    rows = images[:, :-2] + images[:, 1:-1] + images[:, 2:]
    around = rows[:, :, :-2] + rows[:, :, 1:-1] + rows[:, :, 2:]
    return images.at[:, 1:-1, 1:-1].set((around + 4 * images[:, 1:-1, 1:-1]) / 13)


def _matrices(kind: jax.Array, sign: jax.Array, strength: float, height: int, width: int) -> jax.Array:
    """From a place in the result to that in the image, (x, y) from the left upper corner.

    Returns:
      float32 [batch, 2, 3].
    """

    def only(name: str, value: float) -> jax.Array:
        return jnp.where(kind == OPERATIONS.index(name), sign * strength * value, 0.0)

    angle = only("rotate", math.radians(30))
    cos, sin = jnp.cos(angle), jnp.sin(angle)
    x, y = width / 2, height / 2
    first = [
        cos,
        only("shear_x", 0.3) - sin,
        only("translate_x", 150 / 331 * width) + x - cos * x + sin * y,
    ]
    second = [
        only("shear_y", 0.3) + sin,
        cos,
        only("translate_y", 150 / 331 * height) + y - sin * x - cos * y,
    ]
    return jnp.stack([jnp.stack(first, -1), jnp.stack(second, -1)], 1)


def _affine(images: jax.Array, matrices: jax.Array, fill: jax.Array) -> jax.Array:
    """Resample linearly."""
    height, width = images.shape[1:3]
    x, y = jnp.arange(0.5, width), jnp.arange(0.5, height)
    fill = fill.reshape(1, 1, 3)

    def one(image: jax.Array, matrix: jax.Array) -> jax.Array:
        columns, rows = (row[0] * x[None, :] + row[1] * y[:, None] + row[2] - 0.5 for row in matrix)
        resample = lambda plane: jax.scipy.ndimage.map_coordinates(plane, [rows, columns], order=1)  # noqa: E731
        return jax.vmap(resample, -1, -1)(image - fill) + fill

    return jax.vmap(one)(images, matrices)


def _auto_contrast(levels: jax.Array) -> jax.Array:
    """Stretch each channel to 0-255, unless it has one level only."""
    low, high = levels.min((1, 2), keepdims=True), levels.max((1, 2), keepdims=True)
    return jnp.where(high > low, (levels - low) * (255 / jnp.maximum(high - low, 1)), levels)


def _equalize(levels: jax.Array) -> jax.Array:
    """Each channel's levels to equally frequent ones, as nearly as can be (Pillow's rounding)."""

    def one(channel: jax.Array) -> jax.Array:
        indices = channel.astype(jnp.int32)
        histogram = jnp.bincount(indices.ravel(), length=256)
        last = histogram[indices.max()]
        step = (channel.size - last) // 255
        below = jnp.cumsum(histogram) - histogram
        table = jnp.minimum((step // 2 + below) // jnp.maximum(step, 1), 255).astype(jnp.float32)
        return jnp.where(step > 0, table[indices], channel)

    return jax.vmap(jax.vmap(one, -1, -1))(levels)
