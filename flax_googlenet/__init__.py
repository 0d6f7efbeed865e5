"""GoogLeNet (Inception v1) in JAX and Flax: train, ablate, evaluate, restore.

>>> import flax_googlenet
>>> classifier = flax_googlenet.load("runs/mnist_sample")  # doctest: +SKIP
>>> classifier.predict(["seven.png"]).argmax(axis=-1)  # doctest: +SKIP
array([7])
"""

import importlib
from typing import TYPE_CHECKING, Any

from flax_googlenet.classifier import Classifier, load
from flax_googlenet.distributed import Preempted
from flax_googlenet.errors import UserError
from flax_googlenet.inheritance import resolve_config
from flax_googlenet.models import VGG16, AuxiliaryClassifier, GoogLeNet, Inception, build_model
from flax_googlenet.variants import VARIANTS

if TYPE_CHECKING:
    from flax_googlenet.evaluation.ensemble import evaluate
    from flax_googlenet.interop import export, import_weights, load_pretrained
    from flax_googlenet.training import train

__version__ = "0.1.0"

__all__ = [
    "VARIANTS",
    "VGG16",
    "AuxiliaryClassifier",
    "Classifier",
    "GoogLeNet",
    "Inception",
    "Preempted",
    "UserError",
    "build_model",
    "evaluate",
    "export",
    "import_weights",
    "load",
    "load_pretrained",
    "resolve_config",
    "train",
]


# Imported on first use, since they import matplotlib, TensorBoard's writer, requests and Optax.
_LATE = {
    "evaluate": "flax_googlenet.evaluation.ensemble",
    "export": "flax_googlenet.interop",
    "import_weights": "flax_googlenet.interop",
    "load_pretrained": "flax_googlenet.interop",
    "train": "flax_googlenet.training",
}


def __getattr__(name: str) -> Any:
    if name not in _LATE:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(importlib.import_module(_LATE[name]), name)


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
