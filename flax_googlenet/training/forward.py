"""The forward pass of training, which the step and the statistics of averaged weights share."""

from collections.abc import Iterable
from typing import Any

import jax
from flax import linen as nn
from ml_collections import FrozenConfigDict

from flax_googlenet.data import augmentation
from flax_googlenet.training.parameter_groups import freeze_normalization


def augment_batch(
    batch: dict[str, jax.Array], key: jax.Array, config: FrozenConfigDict
) -> tuple[jax.Array, jax.Array, jax.Array]:
    """Return the normalised images and the targets that a batch is trained on, and the key for dropout.

    Args:
      batch: "image", uint8 [batch, size, size, 3], and "label".
      key: of the step.
      config: a resolved config.
    """
    mirror_key, dropout_key = jax.random.split(key)
    images, targets = augmentation.augment(
        key, mirror_key, batch["image"], batch["label"], config.data, config.model.num_classes
    )
    return images, targets, dropout_key


def apply_in_training(
    model: nn.Module,
    params: Any,
    batch_stats: Any,
    images: jax.Array,
    dropout_key: jax.Array,
    freeze: Iterable[str],
) -> tuple[dict[str, jax.Array], Any]:
    """Return the outputs of every head, and the running statistics after the batch.

    Args:
      model: the network.
      params, batch_stats: its variables.
      images: of `augment_batch`.
      dropout_key: of `augment_batch`.
      freeze: patterns of parameters' names; frozen normalisations use their running statistics.
    """
    with nn.intercept_methods(freeze_normalization(freeze)):
        outputs, updated = model.apply(
            {"params": params, "batch_stats": batch_stats},
            images,
            train=True,
            rngs={"dropout": dropout_key},
            mutable=["batch_stats"],
        )
    return dict(outputs), updated.get("batch_stats", {})
