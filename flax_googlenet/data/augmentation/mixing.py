"""Mixup and CutMix: images of two examples in one, and their classes in the same shares.

The partner of a row of the batch is the row before it, the first one's the last: batches
are shuffled, so that is any other example. Of a batch that is split over devices, each
then needs one row of its neighbour's; the batch in reverse order, which others use,
would move every row.
"""

import jax
import jax.numpy as jnp

SWITCH = 0.5  # how often, where both are asked for, a batch gets CutMix


def mix(
    key: jax.Array, images: jax.Array, targets: jax.Array, *, mixup: float, cutmix: float
) -> tuple[jax.Array, jax.Array]:
    """Mix each example of a batch with its partner.

    One share, and one box, is drawn for the batch, as in the code of both papers; and
    where both are asked for, which of them.

    Args:
      key: of the draws.
      images: float32 [batch, height, width, channels].
      targets: float32 [batch, classes], each row a distribution.
      mixup: alpha; the share is drawn from Beta(alpha, alpha) (Zhang et al. 2017). 0: off.
      cutmix: the same of CutMix (Yun et al. 2019), whose share is the area outside of a
        box. 0: off.

    Returns:
      Mixed images and targets, of the same shapes.
    """
    switch_key, mixup_key, cutmix_key = jax.random.split(key, 3)
    height, width = images.shape[1:3]
    # The share of the image itself, and that at each pixel: there 0 or 1 in CutMix.
    if cutmix:
        kept, share = cutmix_share(cutmix_key, height, width, cutmix)
    if mixup:
        mixup_share = jax.random.beta(mixup_key, mixup, mixup)
        everywhere = jnp.full((height, width), mixup_share)
        if cutmix:
            switch = jax.random.bernoulli(switch_key, SWITCH)
            kept, share = jnp.where(switch, kept, everywhere), jnp.where(switch, share, mixup_share)
        else:
            kept, share = everywhere, mixup_share
    kept = kept.reshape(1, height, width, 1)
    mixed = kept * images + (1 - kept) * jnp.roll(images, 1, axis=0)
    return mixed, share * targets + (1 - share) * jnp.roll(targets, 1, axis=0)


def cutmix_share(key: jax.Array, height: int, width: int, alpha: float) -> tuple[jax.Array, jax.Array]:
    """Where a box leaves the image as it is, and how much of it that is.

    The box has the image's aspect and, for a lambda of Beta(alpha, alpha), 1 - lambda of
    its area; its centre is anywhere, and what lies beyond the edges is cut off.

    Returns:
      0 in the box and 1 outside of it, float32 [height, width]; and the mean of that.
    """
    lambda_key, row_key, column_key = jax.random.split(key, 3)
    side = jnp.sqrt(1 - jax.random.beta(lambda_key, alpha, alpha))
    rows = _inside(jax.random.randint(row_key, (), 0, height), side, height)
    columns = _inside(jax.random.randint(column_key, (), 0, width), side, width)
    box = rows[:, None] & columns[None, :]
    return 1.0 - box.astype(jnp.float32), 1.0 - box.sum() / (height * width)


def _inside(center: jax.Array, side: jax.Array, length: int) -> jax.Array:
    half = jnp.floor(side * length).astype(jnp.int32) // 2
    places = jnp.arange(length)
    return (places >= center - half) & (places < center + half)
