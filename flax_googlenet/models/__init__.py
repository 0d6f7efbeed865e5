"""The networks, their layers and initial variables, and tables of their parameters and operations."""

import jax.numpy as jnp
from flax import linen as nn
from ml_collections import FrozenConfigDict

from flax_googlenet.errors import UserError
from flax_googlenet.models.googlenet import GoogLeNet
from flax_googlenet.models.inception import AuxiliaryClassifier, Inception
from flax_googlenet.models.initialization import INITIALIZERS
from flax_googlenet.models.vgg import VGG16
from flax_googlenet.variants import VGG16_KEYS

__all__ = ["VGG16", "AuxiliaryClassifier", "GoogLeNet", "Inception", "Network", "build_model"]

Network = GoogLeNet | VGG16


def build_model(model: FrozenConfigDict) -> Network:
    """Build the network that the section `model` of a resolved config describes.

    Raises:
      UserError: if `model.num_classes` is 0, because the data set is not read here.
    """
    if not model.num_classes:
        raise UserError(
            "config.model.num_classes is 0, which stands for the number of classes of the data set, but no "
            "data set is read here; set it to the number."
        )
    is_vgg16 = model.variant == "vgg16"
    options = {key: value for key, value in model.items() if not is_vgg16 or key in VGG16_KEYS}
    del options["variant"]  # it only sets the defaults of the other keys
    options["dtype"] = jnp.dtype(options["dtype"])
    options["kernel_init"] = INITIALIZERS[options.pop("initializer")].initializer
    options["bias_init"] = nn.initializers.constant(options.pop("initial_bias"))
    return VGG16(**options) if is_vgg16 else GoogLeNet(**options)
