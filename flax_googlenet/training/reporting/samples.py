"""Augmented training images for TensorBoard."""

import jax
import numpy as np
from jaxtyping import Array, Float, Int, UInt8
from ml_collections import FrozenConfigDict

from flax_googlenet.data.augmentation import denormalize
from flax_googlenet.training.forward import augment_batch

COUNT = 8


def augmented_samples(
    batch: dict[str, Array], config: FrozenConfigDict
) -> UInt8[np.ndarray, "samples height width 3"]:
    """Augment the first images of this host's part of a batch.

    The random numbers have the same distribution as those of the train step, but other values.

    Args:
      batch: "image", uint8, and "label", on the devices.
      config: a resolved config.

    Returns:
      Up to `COUNT` images, red first, without the normalization.
    """
    images, labels = (
        np.asarray(batch[name].addressable_shards[0].data)[:COUNT] for name in ("image", "label")
    )

    def augment(
        images: UInt8[Array, "samples height width 3"], labels: Int[Array, " samples"]
    ) -> Float[Array, "samples height width 3"]:
        return augment_batch({"image": images, "label": labels}, jax.random.key(config.seed), config)[0]

    return denormalize(np.asarray(jax.jit(augment)(images, labels)), config.data)
