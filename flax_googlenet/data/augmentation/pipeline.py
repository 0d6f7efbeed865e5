"""The augmentation pipeline of a config and normalization, for use inside the jitted step."""

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, Float32, Int, Key, Num, UInt8
from ml_collections import FrozenConfigDict

from flax_googlenet.data.augmentation.erasing import random_erasing
from flax_googlenet.data.augmentation.mixing import mix
from flax_googlenet.data.augmentation.photometric import random_distortion, random_lighting
from flax_googlenet.data.augmentation.randaugment import randaugment

# Numbers folded into the key, one per augmentation. 0 and 1 would give the two keys of its split.
_RANDAUGMENT, _DISTORTION, _LIGHTING, _MIXING, _ERASING = 2, 3, 4, 5, 6


def augment(
    key: Key[Array, ""],
    flip_key: Key[Array, ""],
    images: UInt8[Array, "batch height width 3"],
    labels: Int[Array, " batch"],
    data: FrozenConfigDict,
    num_classes: int,
) -> tuple[
    Float32[Array, "batch height width 3"],
    Int[Array, " batch"] | Float32[Array, "batch {num_classes}"],
]:
    """Augment and normalize training images.

    The order is:

    1. flips and RandAugment, which need whole levels in 0-255,
    2. changes of color,
    3. mixing, of examples whose colors were changed independently,
    4. erasing, so that no other example shows inside a box,
    5. normalization, after erasing, whose noise covers the levels 0-255.

    The draws depend on the key and on the row of the global batch, but not on the number of
    devices.

    Args:
      key: the key of the step, or of a part of its batch.
      flip_key: the first of the two keys that `key` splits into; the second is for dropout.
      images: RGB images.
      labels: the classes of the images.
      data: the section `data` of a config.
      num_classes: number of classes of the data set.

    Returns:
      The images, and the labels, or the probabilities of the classes if examples are mixed.
    """
    if data.mirror:
        images = random_flip(flip_key, images)
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


def normalize(
    images: Num[Array | np.ndarray, "*batch height width 3"], data: FrozenConfigDict
) -> Float32[Array, "*batch height width 3"]:
    """Return (pixel - mean) / std per channel, as the network expects images.

    Args:
      images: RGB images in 0-255.
      data: the section `data` of a config. The result is BGR if `data.channel_order` is "bgr".
    """
    mean, std = jnp.asarray(data.mean, jnp.float32), jnp.asarray(data.std, jnp.float32)
    shape = (1,) * (images.ndim - 1) + (3,)
    normalized = (jnp.asarray(images, jnp.float32) - mean.reshape(shape)) / std.reshape(shape)
    return normalized[..., ::-1] if data.channel_order == "bgr" else normalized


def denormalize(
    normalized: Float[np.ndarray, "*batch height width 3"], data: FrozenConfigDict
) -> UInt8[np.ndarray, "*batch height width 3"]:
    """Undo `normalize`, and round to levels from 0 to 255.

    Args:
      normalized: normalized images on the host.
      data: as in `normalize`.
    """
    red_first = normalized[..., ::-1] if data.channel_order == "bgr" else normalized
    levels = red_first * np.asarray(data.std, np.float32) + np.asarray(data.mean, np.float32)
    return np.clip(np.round(levels), 0, 255).astype(np.uint8)


def random_flip(
    key: Key[Array, ""], images: Num[Array, "batch height width channels"]
) -> Num[Array, "batch height width channels"]:
    """Flip each image left to right with probability 1/2."""
    flip = jax.random.bernoulli(key, shape=(images.shape[0], 1, 1, 1))
    return jnp.where(flip, images[:, :, ::-1], images)
