"""GoogLeNet (Inception v1) in JAX and Flax: train, ablate, evaluate, restore.

>>> import flax_googlenet
>>> classifier = flax_googlenet.load("runs/mnist_sample")  # doctest: +SKIP
>>> classifier.predict(["seven.png"]).argmax(axis=-1)  # doctest: +SKIP
array([7])
"""

from flax_googlenet.classifier import Classifier, load
from flax_googlenet.config import resolve as resolve_config
from flax_googlenet.errors import UserError
from flax_googlenet.models import AuxiliaryClassifier, GoogLeNet, Inception, build_model

__version__ = "0.1.0"

__all__ = [
    "AuxiliaryClassifier",
    "Classifier",
    "GoogLeNet",
    "Inception",
    "UserError",
    "build_model",
    "load",
    "resolve_config",
]
