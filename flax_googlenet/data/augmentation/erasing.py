"""Random erasing (Zhong et al. 2017)."""

import math

import jax
import jax.numpy as jnp

# A box's share of the image, and height over width, uniform in its logarithm: as
# torchvision and timm have them.
AREA = (0.02, 1 / 3)
ASPECT = (0.3, 1 / 0.3)


def random_erasing(
    key: jax.Array, images: jax.Array, probability: float, fill: jax.Array | None
) -> jax.Array:
    """Erase a random box of each image, with the given probability.

    A box that is higher or wider than the image is cut to it.

    Args:
      key: of the draws.
      images: float32 [batch, height, width, 3] in 0-255.
      probability: that an image loses a box.
      fill: the colour of what is erased, float32 [3]; None for noise, any of the 256 levels
        for each channel of each pixel, which the paper found best.
    """
    count, height, width, _ = images.shape
    chosen_key, area_key, aspect_key, top_key, left_key, noise_key = jax.random.split(key, 6)
    area = jax.random.uniform(area_key, (count,), minval=AREA[0], maxval=AREA[1]) * (height * width)
    aspect = jnp.exp(
        jax.random.uniform(aspect_key, (count,), minval=math.log(ASPECT[0]), maxval=math.log(ASPECT[1]))
    )
    rows = _inside(jax.random.uniform(top_key, (count,)), jnp.sqrt(area * aspect), height)
    columns = _inside(jax.random.uniform(left_key, (count,)), jnp.sqrt(area / aspect), width)
    chosen = jax.random.bernoulli(chosen_key, probability, (count, 1, 1))
    erased = (chosen & rows[:, :, None] & columns[:, None, :])[..., None]
    if fill is None:
        # A byte for each channel of one draw a pixel: a draw for each takes 20 times as long.
        draws = jax.random.bits(noise_key, (*images.shape[:3], 1), jnp.uint32)
        shifts = jnp.arange(0, 24, 8, dtype=jnp.uint32).reshape(1, 1, 1, 3)
        filling = ((draws >> shifts) & jnp.uint32(255)).astype(jnp.float32)
    else:
        filling = jnp.broadcast_to(fill.reshape(1, 1, 1, -1), images.shape)
    return jnp.where(erased, filling, images)


def _inside(place: jax.Array, side: jax.Array, length: int) -> jax.Array:
    """Whether each of `length` places lies in a side of the box, bool [batch, length]."""
    side = jnp.clip(jnp.round(side), 1, length)
    start = jnp.floor(place * (length - side + 1))
    places = jnp.arange(length, dtype=jnp.float32)[None]
    return (places >= start[:, None]) & (places < (start + side)[:, None])
