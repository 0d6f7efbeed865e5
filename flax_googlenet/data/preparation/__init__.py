"""Preparation of data sets with TensorFlow Datasets, the only part of the library that needs TensorFlow."""

from flax_googlenet.data.preparation.beam import Beam
from flax_googlenet.data.preparation.dataset import prepare_dataset

__all__ = ["Beam", "prepare_dataset"]
