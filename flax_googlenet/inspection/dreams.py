"""Images that a network is made to see: DeepDream, and the image that a class stands for."""

import dataclasses
from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float
from ml_collections import FrozenConfigDict

from flax_googlenet.data import augmentation
from flax_googlenet.inspection.activations import row_outputs
from flax_googlenet.inspection.attributions import check_layer, map_layers
from flax_googlenet.inspection.scores import TINY, Image, Variables, compiled
from flax_googlenet.models import Network

# How often a step that does not raise the value is halved before the ascent ends.
_HALVINGS = 8

# Standard deviation of the noise from which a class is drawn, as a share of the range from black to white.
_NOISE = 0.01

Bounds = tuple[Float[np.ndarray, " 3"], Float[np.ndarray, " 3"]]
Objective = Callable[[Image], tuple[Array, Array]]


@dataclasses.dataclass(frozen=True)
class Dream:
    """An image, and how far it raised what it was made for.

    Attributes:
      image: the normalized image.
      values: the value before the first step and after each step; every one is above the one before.
    """

    image: Image
    values: tuple[float, ...]


def deep_dream(
    model: Network,
    variables: Variables,
    image: Image,
    data: FrozenConfigDict,
    layer: str,
    *,
    steps: int = 24,
    step_size: float = 0.02,
) -> Dream:
    """Change an image so that a layer responds more strongly to it.

    The value is the mean square of the layer's output. "Inceptionism", Mordvintsev et al., 2015.

    Args:
      model: the network.
      variables: its "params" and "batch_stats".
      image: the normalized image to start from.
      data: the section `data` of the network's config, for the range of the pixels.
      layer: a convolution or an Inception module of the network's table.
      steps: number of steps.
      step_size: root mean square of the first step, as a share of the range from black to white.

    Raises:
      UserError: if the network has no such layer.
    """
    check_layer(model, layer)
    run = compiled(_response)
    bounds = limits(data)
    size = step_size * _spread(bounds)
    return ascend(lambda x: run(model, variables, x, row=layer), image, bounds, steps, size)


def visualize_class(
    model: Network,
    variables: Variables,
    data: FrozenConfigDict,
    label: int,
    *,
    steps: int = 48,
    step_size: float = 0.02,
    decay: float = 4.0,
) -> Dream:
    """Return an image that stands for a class, made from one of the mean color with a little noise.

    Without the noise, all inputs of a max pooling would be equal, where its gradient need not lead uphill.

    The value is the score of the class minus `decay` times the mean square of the difference to that color.
    "Deep inside convolutional networks", Simonyan et al., 2013, section 2.

    Args:
      model, variables, data, steps, step_size: as in `deep_dream`.
      label: the class.
      decay: weight of the penalty on strong colors. The difference counts as a share of the range from black
        to white.
    """
    run = compiled(_evidence)
    bounds = limits(data)
    spread = _spread(bounds)
    draws = np.random.default_rng(0).standard_normal((data.image_size, data.image_size, 3), np.float32)
    start = np.float32(_NOISE * spread) * draws
    weight = np.float32(decay / spread**2)
    return ascend(lambda x: run(model, variables, x, label, weight), start, bounds, steps, step_size * spread)


def ascend(
    objective: Objective,
    image: Image,
    bounds: Bounds,
    steps: int,
    step_size: float,
) -> Dream:
    """Climb along the smoothed gradient with steps that are halved until they raise the value.

    The ascent ends early if even a tiny step does not raise it.

    Args:
      objective: returns the value of an image, and its gradient.
      image: where to start.
      bounds: least and largest value of each channel.
      steps: number of steps.
      step_size: root mean square of the first step.
    """
    image = np.clip(image, *bounds)
    value, gradient = objective(image)
    values = [float(value)]
    size = step_size
    for _ in range(steps):
        direction = smooth(np.asarray(gradient))
        direction /= max(float(np.sqrt(np.mean(direction**2))), TINY)
        for _ in range(_HALVINGS):
            candidate = np.clip(np.add(image, np.float32(size) * direction), *bounds)
            value, gradient = objective(candidate)
            if float(value) > values[-1]:
                break
            size /= 2
        else:
            break
        image = candidate
        values.append(float(value))
        size = min(2 * size, step_size)
    return Dream(image, tuple(values))


def smooth(gradient: Image) -> Image:
    """Divide the amplitudes of a gradient by their frequencies, as in photographs.

    Steps along the result still go uphill, but draw shapes instead of single pixels. "Feature
    visualization", Olah et al., 2017, section "preconditioning and parameterization".
    """
    height, width = gradient.shape[:2]
    frequency = np.hypot(np.fft.fftfreq(height).reshape(-1, 1), np.fft.rfftfreq(width).reshape(1, -1))
    scale = 1 / np.maximum(frequency, 1 / max(height, width))
    spectrum = np.fft.rfft2(gradient, axes=(0, 1)) * scale[..., None]
    return np.fft.irfft2(spectrum, s=(height, width), axes=(0, 1)).astype(gradient.dtype)


def limits(data: FrozenConfigDict) -> Bounds:
    """Return the normalized values of black and of white, by channel."""
    black, white = augmentation.normalize(np.array([[[0] * 3], [[255] * 3]], np.uint8), data)
    return np.asarray(black[0]), np.asarray(white[0])


def _spread(bounds: Bounds) -> float:
    low, high = bounds
    return float(np.mean(high - low))


def dream_layer(model: Network) -> str:
    """Return the layer that DeepDream is known for, inception_4c, or the last one of another network."""
    layers = map_layers(model)
    return "inception_4c" if "inception_4c" in layers else layers[-1]


def _response(model: Network, variables: Variables, image: Array, row: str) -> tuple[Array, Array]:
    def value(image: Array) -> Array:
        return jnp.square(row_outputs(model, variables, image[None])[row]).mean()

    return jax.value_and_grad(value)(image)


def _evidence(
    model: Network, variables: Variables, image: Array, label: Array, decay: Array
) -> tuple[Array, Array]:
    def value(image: Array) -> Array:
        heads: Any = model.apply(variables, image[None])
        return heads["logits"][0, label] - decay * jnp.square(image).mean()

    return jax.value_and_grad(value)(image)
