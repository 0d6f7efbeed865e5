"""Augmentation of training images on the device."""

from flax_googlenet.data.augmentation.pipeline import augment, denormalize, normalize, random_flip

__all__ = ["augment", "denormalize", "normalize", "random_flip"]
