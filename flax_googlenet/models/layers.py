"""Layers that the networks share, and the checks of their attributes and images."""

import dataclasses

import jax.numpy as jnp
from flax import linen as nn
from jax.nn.initializers import Initializer
from jax.typing import DTypeLike
from jaxtyping import Array, Float, Float32

from flax_googlenet import ops
from flax_googlenet.config.kinds import Whole, check
from flax_googlenet.config.schema import KEYS, default_of
from flax_googlenet.models.initialization import INITIALIZERS
from flax_googlenet.table import PaperRow


def check_attributes(module: object, **keys: str) -> None:
    """Check attributes of a module as the config checks its keys.

    The number of classes, if the module has one, must be at least 1; 0 is only allowed in configs.

    Args:
      module: a network, a part of one, or `LayerOptions`.
      keys: for each attribute, the config key whose bounds or choices apply.

    Raises:
      ValueError: if a value is refused; the message names the attribute and what it can be.
    """
    name = type(module).__name__
    if hasattr(module, "num_classes"):
        check(Whole(at_least=1), module.num_classes, f"{name}.num_classes")
    for attribute, key in keys.items():
        KEYS[key].check(getattr(module, attribute), f"{name}.{attribute}")


def check_network(network: nn.Module) -> None:
    """Check the attributes of a network that share their names with keys of the section `model`.

    Raises:
      ValueError: if a value is refused; the message names the attribute and what it can be.
    """
    keys = {field.name: f"model.{field.name}" for field in dataclasses.fields(network)}
    special = ("num_classes", "dtype")  # configs allow 0 classes, and only the names of dtypes
    check_attributes(
        network, **{name: key for name, key in keys.items() if key in KEYS and name not in special}
    )


def check_image_shape(network: str, shape: tuple[int, ...], least: int) -> None:
    """Check that an array has the shape of a batch of images that are large enough.

    Args:
      network: name of the network in the message.
      shape: shape of the array.
      least: side of the smallest images that the network accepts, in pixels.

    Raises:
      ValueError: if the shape is not [batch, height, width, 3] with sides of at least `least`.
    """
    if len(shape) != 4 or shape[-1] != 3 or min(shape[1:3]) < least:
        raise ValueError(
            f"{network} takes images [batch, height, width, 3] of at least {least}x{least} pixels; "
            f"got {shape}."
        )


@dataclasses.dataclass(frozen=True)
class LayerOptions:
    """Options that all layers of a network share.

    Attributes:
      dtype: dtype of the activations. Parameters and the last layers are always float32.
      kernel_init, bias_init: initializers of the kernels and biases.
      padding: "symmetric" for half the kernel on every side, as in Caffe and PyTorch; or "same"
        for TensorFlow's padding, which differs if the stride is above 1.
      batch_norm: whether to normalize after each convolution, which then has no bias.
      batch_norm_epsilon, batch_norm_momentum: as in `flax.linen.BatchNorm`.
    """

    dtype: DTypeLike = jnp.dtype(default_of("model.dtype"))
    kernel_init: Initializer = INITIALIZERS[default_of("model.initializer")].initializer
    bias_init: Initializer = nn.initializers.constant(default_of("model.initial_bias"))
    padding: str = default_of("model.conv_padding")
    batch_norm: bool = False
    batch_norm_epsilon: float = default_of("model.batch_norm_epsilon")
    batch_norm_momentum: float = 0.9

    def __post_init__(self) -> None:
        check_attributes(self, padding="model.conv_padding", batch_norm_epsilon="model.batch_norm_epsilon")


def max_pool(
    row: PaperRow, x: Float[Array, "batch height width channels"], rounding: str
) -> Float[Array, "batch height_out width_out channels"]:
    """Apply the max pooling of a row.

    Args:
      row: the row of the table.
      x: the feature maps.
      rounding: "ceil" or "floor", the rounding of the side of the output.
    """
    height, width = x.shape[1:3]
    padding = ops.ceil_mode_padding((height, width), row.patch, row.stride)
    return ops.max_pool(x, row.patch, row.stride, padding if rounding == "ceil" else ((0, 0), (0, 0)))


def fully_connected(
    x: Float[Array, "batch ..."], units: int, options: LayerOptions, name: str
) -> Float[Array, "batch {units}"]:
    """Flatten a map and apply a linear layer and ReLU.

    A map is flattened in the order height, width, channels. Caffe and PyTorch put the channels
    first, so their weights are permuted on import.
    """
    layer = nn.Dense(
        units, dtype=options.dtype, kernel_init=options.kernel_init, bias_init=options.bias_init, name=name
    )
    return nn.relu(layer(x.reshape(x.shape[0], -1)))


def linear(
    x: Float[Array, "batch features"], num_classes: int, options: LayerOptions, name: str
) -> Float32[Array, "batch {num_classes}"]:
    """Apply the linear layer that returns the logits.

    It always computes in float32, because logits near 8 are 1/16 apart in bfloat16, and classes
    would tie. Its bias starts at 0, so that no class is preferred.
    """
    layer = nn.Dense(num_classes, dtype=jnp.float32, kernel_init=options.kernel_init, name=name)
    return layer(x.astype(jnp.float32))
