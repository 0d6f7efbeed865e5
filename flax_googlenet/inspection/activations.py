"""Filters of the first layer, and the feature maps of the Inception modules' branches."""

from typing import Any

import numpy as np
from flax.traverse_util import flatten_dict
from jaxtyping import Array, Float
from ml_collections import FrozenConfigDict

from flax_googlenet.errors import UserError
from flax_googlenet.inspection.scores import Image, Variables, as_float32, compiled
from flax_googlenet.models import Network
from flax_googlenet.table import PaperRow, RowKind

# Branches of an Inception module, in the order of its output (Figure 2b).
BRANCHES = ("1x1", "3x3", "5x5", "pooling")

Maps = Float[np.ndarray, "rows columns channels"]


def first_filters(
    model: Network, variables: Variables, data: FrozenConfigDict
) -> Float[np.ndarray, "filters height width 3"]:
    """Return the filters that read the image, red first.

    Args:
      model: the network.
      variables: its "params".
      data: the section `data` of its config, for the order of the channels.
    """
    first = next(row.name for row in model.rows if row.kind is RowKind.CONVOLUTION)
    arrays = flatten_dict(variables["params"], sep="/")
    (kernel,) = [array for name, array in arrays.items() if name.endswith(f"{first}/conv/kernel")]
    filters = np.moveaxis(np.asarray(kernel), -1, 0)
    return filters[..., ::-1] if data.channel_order == "bgr" else filters


def branch_maps(model: Network, variables: Variables, image: Image) -> dict[str, dict[str, Maps]]:
    """Return the feature maps of every branch of every Inception module.

    Args:
      model: the network.
      variables: its "params" and "batch_stats".
      image: a normalized image.

    Returns:
      Arrays by module, such as "inception_3a", and by branch, the names `BRANCHES`.

    Raises:
      UserError: if the network has no Inception modules.
    """
    if not has_branches(model):
        raise UserError("The network has no Inception modules; leave out their activations.")
    outputs = compiled(row_outputs)(model, variables, image[None])
    return {
        row.name: dict(zip(BRANCHES, _split(np.asarray(outputs[row.name][0]), row), strict=True))
        for row in model.rows
        if row.kind is RowKind.INCEPTION
    }


def has_branches(model: Network) -> bool:
    """Return whether a network has Inception modules."""
    return any(row.kind is RowKind.INCEPTION for row in model.rows)


def row_outputs(
    model: Network, variables: Variables, images: Float[Array, "batch height width 3"]
) -> dict[str, Float[Array, "batch ..."]]:
    """Return the output of every row of the network's table, as float32; for use under `jax.jit`."""
    _, state = model.apply(variables, images, mutable=["intermediates"])
    sown: Any = flatten_dict(state["intermediates"])
    return {path[-1].removesuffix("_output"): as_float32(values[0]) for path, values in sown.items()}


def _split(maps: Maps, row: PaperRow) -> list[Float[np.ndarray, "rows columns _"]]:
    """Return the maps of each branch; that of the pooling has the rest, since it may have no projection."""
    conv1x1, _, conv3x3, _, conv5x5, _ = row.filters
    return np.split(maps, np.cumsum([conv1x1, conv3x3, conv5x5]), axis=-1)
