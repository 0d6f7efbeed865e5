"""Attributions: which parts of an image speak for a class.

The functions take normalized images and return maps as they are, without a threshold, an absolute value or a
scale; what a picture shows of a map is decided in `drawing`. Scores are logits.
"""

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from flax import linen as nn
from jaxtyping import Array, Float

from flax_googlenet.errors import UserError, did_you_mean
from flax_googlenet.inspection.scores import (
    Image,
    Images,
    Variables,
    as_float32,
    class_gradients,
    class_scores,
    compiled,
)
from flax_googlenet.models import Network
from flax_googlenet.models.vgg import POOL_ROUNDING
from flax_googlenet.table import RowKind, output_side

Map = Float[np.ndarray, "rows columns"]
Quadrature = tuple[Float[np.ndarray, " points"], Float[np.ndarray, " points"]]

# Side of the last feature map of GoogLeNet at 224 pixels, on which the paper of Grad-CAM would draw. Smaller
# images have smaller last maps, down to a single pixel, so an earlier layer stands in for it.
_LEAST_SIDE = 7


def saliency(model: Network, variables: Variables, image: Image, label: int) -> Image:
    """Return the gradient of a class's score with respect to the image.

    "Deep inside convolutional networks", Simonyan et al., 2013, section 3.

    Args:
      model: the network.
      variables: its "params" and "batch_stats".
      image: a normalized image.
      label: the class.
    """
    return class_gradients(model, variables, image[None], label)[0]


def smooth_grad(model: Network, variables: Variables, image: Image, label: int, noise: Images) -> Image:
    """Return the mean gradient over noisy copies of the image.

    "SmoothGrad: removing noise by adding noise", Smilkov et al., 2017.

    Args:
      model, variables, image, label: as in `saliency`.
      noise: what to add to each copy; see `gaussian_noise`.
    """
    return class_gradients(model, variables, image + noise, label).mean(axis=0)


def gaussian_noise(image: Image, *, samples: int = 24, spread: float = 0.15, seed: int = 0) -> Images:
    """Return the noise of `smooth_grad`.

    Args:
      image: a normalized image.
      samples: number of noisy copies.
      spread: standard deviation, as a share of the difference between the largest and the smallest value of
        the image. The paper uses 0.1 to 0.2.
      seed: determines the noise.
    """
    deviation = spread * (image.max() - image.min())
    draws = np.random.default_rng(seed).standard_normal((samples, *image.shape), np.float32)
    return (draws * deviation).astype(image.dtype)


def integrated_gradients(
    model: Network,
    variables: Variables,
    image: Image,
    label: int,
    baseline: Image | None = None,
    quadrature: Quadrature | None = None,
) -> Image:
    """Return the difference to a baseline times the mean gradient on the straight line between the two.

    The values of the map add up to the difference between the scores of the image and of the baseline
    (completeness). "Axiomatic attribution for deep networks", Sundararajan et al., 2017.

    Args:
      model, variables, image, label: as in `saliency`.
      baseline: an image that shows nothing, by default one of the mean color.
      quadrature: points on the line from 0, the baseline, to 1, and their weights; by default those of
        `gauss_legendre`.
    """
    start = np.zeros_like(image) if baseline is None else baseline
    points, weights = (array.astype(image.dtype) for array in quadrature or gauss_legendre())
    line = start + points.reshape(-1, 1, 1, 1) * (image - start)
    gradients = class_gradients(model, variables, line, label)
    return (image - start) * np.einsum("n,nhwc->hwc", weights, gradients)


def gauss_legendre(count: int = 48) -> Quadrature:
    """Return points and weights that integrate polynomials up to degree 2 count - 1 from 0 to 1.

    >>> points, weights = gauss_legendre(3)
    >>> float((weights * points**5).sum().round(12))  # 1 / 6
    0.166666666667
    """
    points, weights = np.polynomial.legendre.leggauss(count)
    return (points + 1) / 2, weights / 2


def occlusion(
    model: Network,
    variables: Variables,
    image: Image,
    label: int,
    *,
    window: int,
    stride: int,
    fill: float = 0.0,
) -> Map:
    """Return by how much the score falls if a square of the image is covered.

    Each pixel has the mean over all squares that cover it. "Visualizing and understanding convolutional
    networks", Zeiler & Fergus, 2014, section 4.2.

    Args:
      model, variables, image, label: as in `saliency`.
      window: side of the square in pixels.
      stride: pixels between the squares, at most `window`. The last squares may reach beyond the edge.
      fill: normalized value of the covered pixels; 0 is the mean color.

    Raises:
      ValueError: if the stride leaves pixels between the squares.
    """
    if not 1 <= stride <= window:
        raise ValueError(f"the stride is {stride}; it must be between 1 and the window, {window}.")
    height, width = image.shape[:2]
    covers = np.stack(
        [
            _square(image.shape[:2], top, left, window)
            for top in _starts(height, window, stride)
            for left in _starts(width, window, stride)
        ]
    )
    covered = np.where(covers[..., None], np.asarray(fill, image.dtype), image)
    scores = class_scores(model, variables, np.concatenate([image[None], covered]), label)
    falls = scores[0] - scores[1:]
    return np.einsum("n,nhw->hw", falls, covers.astype(image.dtype)) / covers.sum(axis=0).astype(image.dtype)


def _starts(length: int, window: int, stride: int) -> range:
    return range(0, max(length - window, 0) + stride, stride)


def _square(shape: tuple[int, ...], top: int, left: int, side: int) -> np.ndarray:
    square = np.zeros(shape, bool)
    square[top : top + side, left : left + side] = True
    return square


def grad_cam(
    model: Network, variables: Variables, image: Image, label: int, layer: str, *, rectify: bool = True
) -> Map:
    """Return the sum of a layer's feature maps, each weighted with the mean of its gradient.

    "Grad-CAM: visual explanations from deep networks", Selvaraju et al., 2017, section 3.

    Args:
      model, variables, image, label: as in `saliency`.
      layer: a row of the network's table that is a convolution or an Inception module; see `default_layer`.
      rectify: whether to set negative values, which speak against the class, to 0 (equation 2).

    Raises:
      UserError: if the network has no such layer.
    """
    check_layer(model, layer)
    activation, gradient = compiled(_layer_and_gradient)(model, variables, image, label, row=layer)
    weighted = jnp.einsum("hwc,c->hw", activation, gradient.mean(axis=(0, 1)))
    return np.asarray(jax.nn.relu(weighted) if rectify else weighted)


def map_layers(model: Network) -> tuple[str, ...]:
    """Return the names of a network's convolutions and Inception modules, from the image up."""
    kinds = (RowKind.CONVOLUTION, RowKind.INCEPTION)
    return tuple(row.name for row in model.rows if row.kind in kinds)


def check_layer(model: Network, layer: str) -> None:
    """Check that a network has a layer with feature maps.

    Raises:
      UserError: if it has none with this name.
    """
    layers = map_layers(model)
    if layer not in layers:
        raise UserError(
            f'The network has no layer "{layer}" with feature maps; {did_you_mean(layer, layers)}'
        )


def default_layer(model: Network, image_size: int) -> str:
    """Return the last layer whose map has at least 7x7 pixels, as inception_5b has at 224 pixels.

    Args:
      model: the network.
      image_size: side of the images in pixels.
    """
    layers, side = map_layers(model), image_size
    chosen = layers[0]
    for row in model.rows:
        side = output_side(row, side, getattr(model, "pool_rounding", POOL_ROUNDING))
        if row.name in layers and side >= _LEAST_SIDE:
            chosen = row.name
    return chosen


def _layer_and_gradient(
    model: Network, variables: Variables, image: Float[Array, "height width 3"], label: Array, row: str
) -> tuple[Float[Array, "rows columns features"], Float[Array, "rows columns features"]]:
    """Return the output of a layer, and the gradient of a class's score with respect to it.

    The gradient is that of a shift which is added to the output on its way through the network.
    """

    def forward(shift: Any) -> tuple[Array, Array]:
        outputs = []

        def add_shift(call: Any, args: Any, kwargs: Any, context: nn.module.InterceptorContext) -> Any:
            output = call(*args, **kwargs)
            if context.module.name != row or context.method_name != "__call__":
                return output
            outputs.append(output)
            return output + shift

        with nn.intercept_methods(add_shift):
            heads: Any = model.apply(variables, image[None])
        (activation,) = outputs
        return heads["logits"][0, label], activation

    _, shape = jax.eval_shape(forward, 0.0)
    gradient, activation = jax.grad(forward, has_aux=True)(jnp.zeros(shape.shape, shape.dtype))
    return as_float32(activation[0]), as_float32(gradient[0])
