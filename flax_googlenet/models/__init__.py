"""Networks: the Inception module, GoogLeNet, and the table of what they cost."""

import jax.numpy as jnp
from flax import linen as nn
from ml_collections import FrozenConfigDict

from flax_googlenet.models.googlenet import GoogLeNet
from flax_googlenet.models.inception import AuxiliaryClassifier, Inception

__all__ = ["AuxiliaryClassifier", "GoogLeNet", "Inception", "build_model"]

_INITIALIZERS = {"xavier": nn.initializers.xavier_uniform, "he": nn.initializers.he_normal}


def build_model(model: FrozenConfigDict) -> GoogLeNet:
    """The network that the section `model` of a resolved config describes."""
    options = model.to_dict()
    del options["name"]  # there is one network so far
    options["dtype"] = jnp.dtype(options["dtype"])
    options["kernel_init"] = _INITIALIZERS[options.pop("initializer")]()
    options["bias_init"] = nn.initializers.constant(options.pop("initial_bias"))
    return GoogLeNet(**options)
