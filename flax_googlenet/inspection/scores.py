"""Scores of a class and their gradients, for any number of images in batches of one size.

All attributions call the same two compiled programs, since compiling a network takes longer than running it.
"""

import functools
import inspect
from collections.abc import Callable, Mapping
from typing import Any

import jax
import numpy as np
from jaxtyping import Array, Float, PyTree

from flax_googlenet.models import Network
from flax_googlenet.runtime import compilation

BATCH_SIZE = 8
TINY = float(np.finfo(np.float32).tiny)  # in place of a divisor that may be 0

Variables = Mapping[str, PyTree]
Image = Float[np.ndarray, "height width 3"]
Images = Float[np.ndarray, "images height width 3"]


def class_scores(
    model: Network, variables: Variables, images: Images, label: int, batch_size: int = BATCH_SIZE
) -> Float[np.ndarray, " images"]:
    """Return the logits of one class.

    Args:
      model: the network.
      variables: its "params" and "batch_stats".
      images: normalized images.
      label: the class.
      batch_size: number of images in a forward pass.
    """
    run = compiled(_scores)
    return _in_batches(lambda batch: run(model, variables, batch, label), images, batch_size)


def class_gradients(
    model: Network, variables: Variables, images: Images, label: int, batch_size: int = BATCH_SIZE
) -> Images:
    """Return the gradients of the logit of one class with respect to the images.

    Args:
      model, variables, images, label, batch_size: as in `class_scores`.
    """
    run = compiled(_gradients)
    return _in_batches(lambda batch: run(model, variables, batch, label), images, batch_size)


@functools.cache
def compiled(function: Callable[..., Any]) -> Any:
    """Return a function of a model, variables and arrays as a program, compiled once for every model.

    Args:
      function: a function whose argument `model` is static, and `row` if it has one.
    """
    names = [name for name in ("model", "row") if name in inspect.signature(function).parameters]
    return compilation.jit(function, static_argnames=names)


def as_float32(array: Array) -> Array:
    """Return an array of bfloat16 as float32, and others as they are."""
    return array.astype(np.promote_types(array.dtype, np.float32))  # JAX's own refuses under strict promotion


def _scores(
    model: Network, variables: Variables, images: Float[Array, "batch height width 3"], label: Array
) -> Float[Array, " batch"]:
    outputs: Any = model.apply(variables, images)
    return outputs["logits"][:, label]


def _gradients(
    model: Network, variables: Variables, images: Float[Array, "batch height width 3"], label: Array
) -> Float[Array, "batch height width 3"]:
    # Images of a batch do not depend on each other, so the gradient of the sum has that of each score.
    return jax.grad(lambda images: _scores(model, variables, images, label).sum())(images)


def _in_batches(function: Callable[[np.ndarray], Array], images: np.ndarray, batch_size: int) -> np.ndarray:
    """Return what a function returns for all images, the last batch filled up with zeros."""
    outputs = []
    for start in range(0, len(images), batch_size):
        some = images[start : start + batch_size]
        filled = np.zeros((batch_size, *images.shape[1:]), images.dtype)
        filled[: len(some)] = some
        outputs.append(np.asarray(function(filled))[: len(some)])
    return np.concatenate(outputs)
