"""What is done to images on the device, inside the jitted step."""

import jax
import jax.numpy as jnp
from ml_collections import FrozenConfigDict

from flax_googlenet.data.augmentation.erasing import random_erasing
from flax_googlenet.data.augmentation.mixing import mix
from flax_googlenet.data.augmentation.photometric import random_distortion, random_lighting
from flax_googlenet.data.augmentation.randaugment import randaugment

# Streams of a step's key: what is folded into it. Its first two children, 0 and 1, are taken.
_RANDAUGMENT, _DISTORTION, _LIGHTING, _MIXING, _ERASING = 2, 3, 4, 5, 6


def augment(
    key: jax.Array,
    mirror_key: jax.Array,
    images: jax.Array,
    labels: jax.Array,
    data: FrozenConfigDict,
    num_classes: int,
) -> tuple[jax.Array, jax.Array]:
    """Training images as the network gets them, and their targets.

    In this order: what moves pixels, while they are whole levels of 0-255; what changes
    their colours; what mixes examples, so that each brings its own colours; what erases,
    so that no other example shows through; and normalisation. Since that is linear, mixing
    before it is mixing after it, and noise covers the levels whatever mean and deviation are.

    The draws depend on the key and on a row's place in the global batch only, not on the
    number of devices.

    Args:
      key: of the step, or of the part of the batch.
      mirror_key: the first of the two that it splits into; the other is dropout's.
      images: uint8 [batch, height, width, 3], red first.
      labels: integers [batch].
      data: the section `data` of a config.
      num_classes: of the data set.

    Returns:
      float32 images; and the labels, or if examples were mixed the shares of the classes,
      float32 [batch, classes].
    """
    if data.mirror:
        images = random_mirror(mirror_key, images)
    images = images.astype(jnp.float32)
    mean = jnp.asarray(data.mean, jnp.float32)
    if data.randaugment:
        images = randaugment(
            jax.random.fold_in(key, _RANDAUGMENT),
            images,
            operations=data.randaugment,
            magnitude=data.randaugment_magnitude,
            fill=mean,
        )
    if data.photometric:
        images = random_distortion(jax.random.fold_in(key, _DISTORTION), images, data.photometric)
    if data.lighting:
        images = random_lighting(jax.random.fold_in(key, _LIGHTING), images, data.lighting)
    targets = labels
    if data.mixup or data.cutmix:
        images, targets = mix(
            jax.random.fold_in(key, _MIXING),
            images,
            jax.nn.one_hot(labels, num_classes),
            mixup=data.mixup,
            cutmix=data.cutmix,
        )
    if data.erasing:
        fill = mean if data.erasing_fill == "mean" else None
        images = random_erasing(jax.random.fold_in(key, _ERASING), images, data.erasing, fill)
    return normalize(images, data), targets


def normalize(images: jax.Array, data: FrozenConfigDict) -> jax.Array:
    """[..., 3] in 0-255, red first, to what the network expects.

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
