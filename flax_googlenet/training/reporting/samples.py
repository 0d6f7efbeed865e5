"""A few augmented images, to look at."""

import jax
import numpy as np
from ml_collections import FrozenConfigDict

from flax_googlenet.training.forward import augment_batch

COUNT = 8


def augmented_samples(batch: dict[str, jax.Array], config: FrozenConfigDict) -> np.ndarray:
    """The first images of this host's part of a batch as augmentation leaves them.

    The draws are those of these few images alone: of the kind that the step makes, not the same.

    Args:
      batch: "image", uint8, and "label", on the devices.
      config: a resolved config.

    Returns:
      uint8 [at most 8, height, width, 3], red first: the normalisation is undone.
    """
    images, labels = (
        np.asarray(batch[name].addressable_shards[0].data)[:COUNT] for name in ("image", "label")
    )

    def augment(images: jax.Array, labels: jax.Array) -> jax.Array:
        return augment_batch({"image": images, "label": labels}, jax.random.key(config.seed), config)[0]

    return pixels(np.asarray(jax.jit(augment)(images, labels)), config.data)


def pixels(normalized: np.ndarray, data: FrozenConfigDict) -> np.ndarray:
    """Undo `augmentation.normalize`, to uint8."""
    red_first = normalized[..., ::-1] if data.channel_order == "bgr" else normalized
    levels = red_first * np.asarray(data.std, np.float32) + np.asarray(data.mean, np.float32)
    return np.clip(np.round(levels), 0, 255).astype(np.uint8)
