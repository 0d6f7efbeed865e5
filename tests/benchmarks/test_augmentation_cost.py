import jax.numpy as jnp

from benchmarks.augmentation.__main__ import OPTIONS, time_augmentation
from flax_googlenet.config import DEFAULTS


def test_every_augmentation_is_measured():
    images, labels = jnp.zeros((2, 16, 16, 3), jnp.uint8), jnp.zeros(2, jnp.int32)
    for options in OPTIONS:
        assert time_augmentation(options, images, labels) > 0, options
    augmentations = {"randaugment", "photometric", "lighting", "mixup", "cutmix", "erasing"}
    assert {key for options in OPTIONS for key in options if not DEFAULTS["data"][key]} == augmentations
