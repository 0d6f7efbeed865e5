"""Layer-sequential unit-variance initialization, from Mishkin & Matas 2015, "All you need is a good init"."""

from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
from flax import linen as nn
from flax.traverse_util import flatten_dict, unflatten_dict
from jaxtyping import Array, Float, PyTree

from flax_googlenet.models import Network
from flax_googlenet.models.convolution import Convolution

Factors = dict[tuple[str, ...], Float[Array, ""]]


def rescale(model: Network, params: PyTree, images: Float[Array, "batch height width 3"]) -> PyTree:
    """Scale the kernels, layer after layer, so that the mean square of each layer's output is 1 on a batch.

    For a convolution, it becomes 1/2 after ReLU, as for a symmetric distribution of mean square 1 before. A
    factor of a kernel is one of the layer's output, so a single forward pass suffices.

    Args:
      model: a network without batch normalization.
      params: its parameters, with biases of zero.
      images: normalized images.
    """
    factors = jax.jit(lambda params, images: measure(model, params, images))(params, images)
    scaled = flatten_dict(params)
    for layer, factor in factors.items():
        kernel = next(path for path in scaled if path[: len(layer)] == layer and path[-1] == "kernel")
        scaled[kernel] = scaled[kernel] * factor
    nested: PyTree = unflatten_dict(scaled)
    return nested


def measure(model: Network, params: PyTree, images: Float[Array, "batch height width 3"]) -> Factors:
    """Return the factor of each layer's kernel, by the path of the layer."""
    factors: Factors = {}

    def scale_output(
        function: Callable[..., Any], args: Any, kwargs: Any, context: nn.module.InterceptorContext
    ) -> Any:
        y = function(*args, **kwargs)
        layer = context.module
        if context.method_name != "__call__" or not isinstance(layer, Convolution | nn.Dense):
            return y
        moment = 0.5 if isinstance(layer, Convolution) else 1.0
        factors[layer.path] = jnp.sqrt(moment / jnp.square(y).mean())
        return y * factors[layer.path]

    with nn.intercept_methods(scale_output):
        model.apply({"params": params}, images, all_heads=True)
    return factors
