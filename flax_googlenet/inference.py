"""The forward pass of inference: from uint8 images to the outputs of a network. Call it under `jax.jit`."""

from collections.abc import Mapping
from typing import Any

import jax.numpy as jnp
from flax.traverse_util import flatten_dict
from jaxtyping import Array, Float, PyTree, UInt8
from ml_collections import FrozenConfigDict

from flax_googlenet.data import augmentation
from flax_googlenet.models import Network
from flax_googlenet.models.convolution import PREPARED
from flax_googlenet.runtime import compilation

Images = UInt8[Array, "batch height width 3"]


def prepare(model: Network, variables: Mapping[str, PyTree], image_size: int) -> Mapping[str, PyTree]:
    """Return variables that also hold the filters in the form that inference uses.

    The filters include batch normalization, and those of 3x3 convolutions may be transformed. The forward
    pass otherwise does this at every call, which takes an eighth of the time for one image.

    Args:
      model: the network.
      variables: its "params" and "batch_stats". If they change, prepare them again.
      image_size: side of the images in pixels.
    """

    def filters(variables: Mapping[str, PyTree]) -> PyTree:
        images = jnp.zeros((1, image_size, image_size, 3), jnp.float32)
        _, prepared = model.apply(variables, images, all_heads=True, mutable=[PREPARED])
        return prepared

    return {**variables, **compilation.jit(filters)(variables)}


def compute_logits(
    model: Network,
    variables: Mapping[str, PyTree],
    images: Images,
    data: FrozenConfigDict,
    *,
    all_heads: bool = False,
) -> dict[str, Float[Array, "batch classes"]]:
    """Return the logits of each head, by the head's name.

    Args:
      model: the network.
      variables: its "params" and "batch_stats".
      images: RGB images of the network's input size.
      data: the section `data` of the network's config, for normalization.
      all_heads: whether to compute the auxiliary heads in addition to the main head, "logits".
    """
    outputs: Any = model.apply(variables, augmentation.normalize(images, data), all_heads=all_heads)
    return dict(outputs)


def compute_row(
    model: Network, variables: Mapping[str, PyTree], images: Images, data: FrozenConfigDict, row: str
) -> Float[Array, "batch ..."]:
    """Return the output of a row of the network's table, as float32.

    Args:
      model, variables, images, data: as in `compute_logits`.
      row: the row's name.
    """
    normalized = augmentation.normalize(images, data)
    _, state = model.apply(variables, normalized, mutable=["intermediates"])
    outputs = {path[-1]: values[0] for path, values in flatten_dict(state["intermediates"]).items()}
    return outputs[f"{row}_output"].astype(jnp.float32)
