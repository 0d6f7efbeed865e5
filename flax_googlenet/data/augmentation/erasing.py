"""Random erasing (Zhong et al. 2017)."""

import math

import jax
import jax.numpy as jnp
from jaxtyping import Array, Bool, Float, Float32, Key

# Ranges of a box's share of the image's area and of its height over its width, as in torchvision and
# timm. The share is drawn uniformly, and the aspect log-uniformly.
AREA = (0.02, 1 / 3)
ASPECT = (0.3, 1 / 0.3)


def random_erasing(
    key: Key[Array, ""],
    images: Float32[Array, "batch height width 3"],
    probability: float,
    fill: Float32[Array, "3"] | None,
) -> Float32[Array, "batch height width 3"]:
    """Erase a random box of each image with some probability.

    A box that is higher or wider than the image is clipped.

    Args:
      key: the key of the draws.
      images: pixels in 0-255.
      probability: the probability of erasing a box, per image.
      fill: the color of the box; None for uniform noise per pixel and channel, which works best in
        the paper.
    """
    count, height, width, _ = images.shape
    chosen_key, area_key, aspect_key, top_key, left_key, noise_key = jax.random.split(key, 6)
    area = jax.random.uniform(area_key, (count,), minval=AREA[0], maxval=AREA[1]) * (height * width)
    aspect = jnp.exp(
        jax.random.uniform(aspect_key, (count,), minval=math.log(ASPECT[0]), maxval=math.log(ASPECT[1]))
    )
    rows = _box_mask(jax.random.uniform(top_key, (count,)), jnp.sqrt(area * aspect), height)
    columns = _box_mask(jax.random.uniform(left_key, (count,)), jnp.sqrt(area / aspect), width)
    chosen = jax.random.bernoulli(chosen_key, probability, (count, 1, 1))
    erased = (chosen & rows[:, :, None] & columns[:, None, :])[..., None]
    if fill is None:
        # One draw per pixel gives three bytes; a draw per channel takes 20 times as long.
        draws = jax.random.bits(noise_key, (*images.shape[:3], 1), jnp.uint32)
        shifts = jnp.arange(0, 24, 8, dtype=jnp.uint32).reshape(1, 1, 1, 3)
        filling = ((draws >> shifts) & jnp.uint32(255)).astype(jnp.float32)
    else:
        filling = jnp.broadcast_to(fill.reshape(1, 1, 1, -1), images.shape)
    return jnp.where(erased, filling, images)


def _box_mask(
    position: Float[Array, " batch"], side: Float[Array, " batch"], length: int
) -> Bool[Array, "batch {length}"]:
    """Return which of the rows or columns of each image are inside its box.

    Args:
      position: start of the box, from 0 for the first possible position to 1 for the last.
      side: height or width of the box in pixels.
      length: height or width of the image in pixels.
    """
    side = jnp.clip(jnp.round(side), 1, length)
    start = jnp.floor(position * (length - side + 1))
    pixels = jnp.arange(length, dtype=jnp.float32)[None]
    return (pixels >= start[:, None]) & (pixels < (start + side)[:, None])
