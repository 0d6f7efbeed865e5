"""Mixup and CutMix, which mix the images of two examples and their classes in the same shares.

The partner of a row of the batch is the row before it, and that of the first row the last one.
Batches are shuffled, so any other example is as likely. If a batch is split over devices, each
device needs one row of its neighbor. Reversing the batch, as other code does, would move every row.
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
    """Mix each example of a batch with its partner.

    One share and one box are drawn per batch, as in the code of both papers. If both are on, one
    of the two is drawn as well.

    Args:
      key: the key of the draws.
      images: the images.
      targets: the shares of the classes; each row sums to 1.
      mixup: alpha, where the share is drawn from Beta(alpha, alpha) (Zhang et al. 2017); 0
        turns mixup off.
      cutmix: the same for CutMix (Yun et al. 2019), whose share is the area outside a box.

    Returns:
      The mixed images and targets.
    """
    switch_key, mixup_key, cutmix_key = jax.random.split(key, 3)
    height, width = images.shape[1:3]
    # The image's own share, at each pixel (0 or 1 in CutMix) and overall.
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
    """Draw a box, and return the image's own share at each pixel and overall.

    The box has the aspect of the image and 1 - lambda of its area, where lambda is drawn from
    Beta(alpha, alpha). Its center is uniform over the image, whose edges clip it.

    Returns:
      0 inside the box and 1 outside, for each pixel; and the mean of that.
    """
    lambda_key, row_key, column_key = jax.random.split(key, 3)
    side = jnp.sqrt(1 - jax.random.beta(lambda_key, alpha, alpha))
    rows = _box_mask(jax.random.randint(row_key, (), 0, height), side, height)
    columns = _box_mask(jax.random.randint(column_key, (), 0, width), side, width)
    box = rows[:, None] & columns[None, :]
    return 1.0 - box.astype(jnp.float32), 1.0 - box.sum() / (height * width)


def _box_mask(center: Int[Array, ""], side: Float[Array, ""], length: int) -> Bool[Array, " {length}"]:
    """Return which rows or columns are inside a box, whose side is a share of the image's."""
    half = jnp.floor(side * length).astype(jnp.int32) // 2
    pixels = jnp.arange(length)
    return (pixels >= center - half) & (pixels < center + half)
