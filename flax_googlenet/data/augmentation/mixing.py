"""Mixup and CutMix, which mix two images and their classes in the same proportion.

Each row of a batch is mixed with the row before it, and the first row with the last. Batches are
shuffled, so every example is equally likely as a partner. If a batch is split over devices, each
device needs only one row of its neighbor. Reversing the batch, as other code does, would move every
row.
"""

import jax
import jax.numpy as jnp
from jaxtyping import Array, Bool, Float, Float32, Int, Key

CUTMIX_PROBABILITY = 0.5  # of CutMix instead of mixup, per batch, if both are on


def mix(
    key: Key[Array, ""],
    images: Float32[Array, "batch height width channels"],
    targets: Float32[Array, "batch classes"],
    *,
    mixup: float,
    cutmix: float,
) -> tuple[Float32[Array, "batch height width channels"], Float32[Array, "batch classes"]]:
    """Mix each example of a batch with the one before it.

    One share and one box are drawn per batch, as in the code of both papers. If both mixup and
    CutMix are on, one of them is drawn per batch.

    Args:
      key: the key of the draws.
      images: the images.
      targets: the probabilities of the classes.
      mixup: alpha of the distribution Beta(alpha, alpha) of the share (Zhang et al. 2017); 0
        disables mixup.
      cutmix: alpha of CutMix (Yun et al. 2019), whose share is the area outside a box; 0
        disables it.

    Returns:
      The mixed images and targets.
    """
    switch_key, mixup_key, cutmix_key = jax.random.split(key, 3)
    height, width = images.shape[1:3]
    # The share of the image itself, at each pixel (0 or 1 in CutMix) and overall.
    if cutmix:
        pixel_share, share = cutmix_share(cutmix_key, height, width, cutmix)
    if mixup:
        mixup_share = jax.random.beta(mixup_key, mixup, mixup)
        everywhere = jnp.full((height, width), mixup_share)
        if cutmix:
            is_cutmix = jax.random.bernoulli(switch_key, CUTMIX_PROBABILITY)
            pixel_share = jnp.where(is_cutmix, pixel_share, everywhere)
            share = jnp.where(is_cutmix, share, mixup_share)
        else:
            pixel_share, share = everywhere, mixup_share
    pixel_share = pixel_share.reshape(1, height, width, 1)
    mixed = pixel_share * images + (1 - pixel_share) * jnp.roll(images, 1, axis=0)
    return mixed, share * targets + (1 - share) * jnp.roll(targets, 1, axis=0)


def cutmix_share(
    key: Key[Array, ""], height: int, width: int, alpha: float
) -> tuple[Float32[Array, "{height} {width}"], Float[Array, ""]]:
    """Draw a box, and return the share of the image outside of it, at each pixel and overall.

    The box has the aspect ratio of the image and 1 - lambda of its area, where lambda is drawn
    from Beta(alpha, alpha). Its center is uniform over the image, and it is clipped at the edges.

    Returns:
      A mask, 0 inside the box and 1 outside, and its mean.
    """
    lambda_key, row_key, column_key = jax.random.split(key, 3)
    side = jnp.sqrt(1 - jax.random.beta(lambda_key, alpha, alpha))
    rows = _box_mask(jax.random.randint(row_key, (), 0, height), side, height)
    columns = _box_mask(jax.random.randint(column_key, (), 0, width), side, width)
    box = rows[:, None] & columns[None, :]
    return 1.0 - box.astype(jnp.float32), 1.0 - box.sum() / (height * width)


def _box_mask(center: Int[Array, ""], side: Float[Array, ""], length: int) -> Bool[Array, " {length}"]:
    """Return which rows or columns are inside a box, whose side is given as a share of `length`."""
    half = jnp.floor(side * length).astype(jnp.int32) // 2
    pixels = jnp.arange(length)
    return (pixels >= center - half) & (pixels < center + half)
