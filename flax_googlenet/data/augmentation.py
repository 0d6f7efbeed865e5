"""What is done to images on the device, inside the jitted step."""

import jax
import jax.numpy as jnp
from ml_collections import FrozenConfigDict


def normalize(images: jax.Array, data: FrozenConfigDict) -> jax.Array:
    """uint8 [..., 3], red first, to what the network expects.

    Returns:
      float32, (pixel - mean) / std a channel, both in 0-255; blue first where
      `data.channel_order` is "bgr".
    """
    mean, std = jnp.asarray(data.mean, jnp.float32), jnp.asarray(data.std, jnp.float32)
    shape = (1,) * (images.ndim - 1) + (3,)
    normalized = (images.astype(jnp.float32) - mean.reshape(shape)) / std.reshape(shape)
    return normalized[..., ::-1] if data.channel_order == "bgr" else normalized


def random_mirror(key: jax.Array, images: jax.Array) -> jax.Array:
    """Flip each image of [batch, height, width, channels] left to right with probability 1/2."""
    flip = jax.random.bernoulli(key, shape=(images.shape[0], 1, 1, 1))
    return jnp.where(flip, images[:, :, ::-1], images)
