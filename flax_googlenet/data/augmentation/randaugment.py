"""RandAugment (Cubuk et al. 2019) on the device, with operations drawn per image.

The operations are those of Pillow, as in the paper's code, with the ranges of that code and of
torchvision. On an accelerator every image goes through every operation, and one result is selected.
Five operations therefore share one resampling, and four share one blending.
"""

# No maintained library has the paper's RandAugment for JAX without TensorFlow. Keras 3.15 draws
# operations per batch, rotates in one direction by up to 360 degrees times its factor, posterizes
# more at lower magnitudes, and takes half a minute to compile. dm-pix and augmax have only single
# operations.

import functools
import math

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float32, Int, Key

from flax_googlenet.data.augmentation import photometric

OPERATIONS = (
    "brightness",
    "contrast",
    "color",  # the first three have the indices of `photometric`
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
    key: Key[Array, ""],
    images: Float32[Array, "batch height width 3"],
    *,
    operations: int,
    magnitude: float,
    fill: Float32[Array, "3"],
) -> Float32[Array, "batch height width 3"]:
    """Apply a sequence of operations, drawn at random, to each image.

    Args:
      key: the key of the draws.
      images: RGB images in 0-255.
      operations: number of operations per image.
      magnitude: strength of the operations, from 0 to `MAX_MAGNITUDE`. The direction of an
        operation, if it has one, is drawn.
      fill: color of pixels that come from outside the image.

    Returns:
      Images in 0-255.
    """
    count = images.shape[0]
    for index in range(operations):
        kind_key, sign_key = jax.random.split(jax.random.fold_in(key, index))
        kind = jax.random.randint(kind_key, (count,), 0, len(OPERATIONS))
        sign = jnp.where(jax.random.bernoulli(sign_key, shape=(count,)), 1.0, -1.0)
        images = apply(images, kind, sign, magnitude / MAX_MAGNITUDE, fill)
    return images


def apply(
    images: Float32[Array, "batch height width 3"],
    kind: Int[Array, " batch"],
    sign: Float32[Array, " batch"],
    strength: float,
    fill: Float32[Array, "3"],
) -> Float32[Array, "batch height width 3"]:
    """Apply an operation to each image.

    Args:
      images: RGB images in 0-255.
      kind: index of each image's operation in `OPERATIONS`.
      sign: 1 or -1, the direction of the operation.
      strength: strength of the operations, from 0 to 1.
      fill: color of pixels that come from outside the image.
    """
    is_sharpness = (kind == OPERATIONS.index("sharpness")).reshape(-1, 1, 1, 1)
    base = jnp.where(is_sharpness, _smooth(images), photometric.degenerate(images, kind))
    levels = jnp.round(images)  # as in 8-bit images
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


def _smooth(images: Float32[Array, "batch height width 3"]) -> Float32[Array, "batch height width 3"]:
    """Apply Pillow's filter SMOOTH: weights of 5/13 for a pixel and 1/13 for its neighbors.

    Pixels at the edges stay as they are.
    """
    rows = images[:, :-2] + images[:, 1:-1] + images[:, 2:]
    around = rows[:, :, :-2] + rows[:, :, 1:-1] + rows[:, :, 2:]
    return images.at[:, 1:-1, 1:-1].set((around + 4 * images[:, 1:-1, 1:-1]) / 13)


def _matrices(
    kind: Int[Array, " batch"], sign: Float32[Array, " batch"], strength: float, height: int, width: int
) -> Float32[Array, "batch 2 3"]:
    """Return the affine maps from coordinates in the result to coordinates in the image.

    Coordinates are (x, y) from the upper left corner. Images with another operation get the identity.
    """

    def only(name: str, value: float) -> Float32[Array, " batch"]:
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


def _affine(
    images: Float32[Array, "batch height width 3"],
    matrices: Float32[Array, "batch 2 3"],
    fill: Float32[Array, "3"],
) -> Float32[Array, "batch height width 3"]:
    """Resample images at affine coordinates, with linear interpolation."""
    height, width = images.shape[1:3]
    x, y = jnp.arange(0.5, width), jnp.arange(0.5, height)
    fill = fill.reshape(1, 1, 3)

    def resample(
        image: Float32[Array, "height width 3"], matrix: Float32[Array, "2 3"]
    ) -> Float32[Array, "height width 3"]:
        columns, rows = (row[0] * x[None, :] + row[1] * y[:, None] + row[2] - 0.5 for row in matrix)
        interpolate = functools.partial(
            jax.scipy.ndimage.map_coordinates, coordinates=[rows, columns], order=1
        )
        return jax.vmap(interpolate, -1, -1)(image - fill) + fill

    return jax.vmap(resample)(images, matrices)


def _auto_contrast(
    levels: Float32[Array, "batch height width 3"],
) -> Float32[Array, "batch height width 3"]:
    """Stretch each channel to 0-255, unless it has only one level."""
    low, high = levels.min((1, 2), keepdims=True), levels.max((1, 2), keepdims=True)
    return jnp.where(high > low, (levels - low) * (255 / jnp.maximum(high - low, 1)), levels)


def _equalize(levels: Float32[Array, "batch height width 3"]) -> Float32[Array, "batch height width 3"]:
    """Equalize the histogram of each channel, with Pillow's rounding."""

    def equalize(channel: Float32[Array, "height width"]) -> Float32[Array, "height width"]:
        indices = channel.astype(jnp.int32)
        histogram = jnp.bincount(indices.ravel(), length=256)
        last = histogram[indices.max()]
        step = (channel.size - last) // 255
        below = jnp.cumsum(histogram) - histogram
        table = jnp.minimum((step // 2 + below) // jnp.maximum(step, 1), 255).astype(jnp.float32)
        return jnp.where(step > 0, table[indices], channel)

    return jax.vmap(jax.vmap(equalize, -1, -1))(levels)
