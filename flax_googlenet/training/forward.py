"""The forward pass of training, for the train step and for the statistics of averaged weights."""

from collections.abc import Iterable

import jax
from flax import linen as nn
from jaxtyping import Array, Float, PRNGKeyArray, PyTree
from ml_collections import FrozenConfigDict

from flax_googlenet.data import augmentation
from flax_googlenet.training.losses import Logits, Targets
from flax_googlenet.training.parameter_groups import freeze_normalization

Images = Float[Array, "batch height width 3"]


def augment_batch(
    batch: dict[str, Array], key: PRNGKeyArray, config: FrozenConfigDict
) -> tuple[Images, Targets, PRNGKeyArray]:
    """Return the normalized images and the targets to train on, and the key for dropout.

    Args:
      batch: "image", uint8 [batch, height, width, 3], and "label".
      key: key of the step.
      config: a resolved config.
    """
    mirror_key, dropout_key = jax.random.split(key)
    images, targets = augmentation.augment(
        key, mirror_key, batch["image"], batch["label"], config.data, config.model.num_classes
    )
    return images, targets, dropout_key


def apply_in_training(
    model: nn.Module,
    params: PyTree,
    batch_stats: PyTree,
    images: Images,
    dropout_key: PRNGKeyArray,
    freeze: Iterable[str],
) -> tuple[dict[str, Logits], PyTree]:
    """Return the logits of every head and the updated running statistics.

    Args:
      model: the network.
      params, batch_stats: its variables.
      images: normalized images.
      dropout_key: key of the dropout.
      freeze: patterns of the names of frozen parameters. A frozen normalization uses its
        running statistics and does not update them.
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
