"""Random changes of color, from Howard 2013, as in the paper (section 6)."""

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float32, Int, Key

BRIGHTNESS, CONTRAST, SATURATION = 0, 1, 2

_LUMA = (0.299, 0.587, 0.114)  # weights of red, green and blue: ITU-R 601, as in Pillow

# The principal components of the colors of ImageNet's pixels (Krizhevsky et al. 2012): their
# standard deviations on the scale 0-255, and one column per component with its red, green and blue.
_DEVIATIONS = (55.46, 4.794, 1.148)
_COMPONENTS = ((-0.5675, 0.7192, 0.4009), (-0.5808, -0.0045, -0.8140), (-0.5836, -0.6948, 0.4203))


def random_distortion(
    key: Key[Array, ""], images: Float32[Array, "batch height width 3"], strength: float
) -> Float32[Array, "batch height width 3"]:
    """Change the brightness, contrast and saturation of each image in a random order.

    Howard ("Some Improvements on Deep Convolutional Neural Network Based Image
    Classification", 2013) draws an order and factors between 0.5 and 1.5.

    Args:
      key: the key of the draws.
      images: RGB images in 0-255.
      strength: the factors are uniform in 1 +- strength.

    Returns:
      Images in 0-255.
    """
    order_key, factor_key = jax.random.split(key)
    shape = (images.shape[0], 3)
    factors = jax.random.uniform(factor_key, shape, minval=1 - strength, maxval=1 + strength)
    return distort(images, random_orders(order_key, images.shape[0]), factors)


def random_orders(key: Key[Array, ""], count: int) -> Int[Array, "{count} 3"]:
    """Draw permutations of 0, 1 and 2."""
    return jnp.argsort(jax.random.uniform(key, (count, 3)), axis=1)


def distort(
    images: Float32[Array, "batch height width 3"],
    order: Int[Array, "batch 3"],
    factors: Float32[Array, "batch 3"],
) -> Float32[Array, "batch height width 3"]:
    """Change brightness, contrast and saturation as in Pillow's ImageEnhance, which Howard used.

    Images are clipped after each change, as in Pillow, so the order of the changes matters.

    Args:
      images: RGB images in 0-255.
      order: BRIGHTNESS, CONTRAST and SATURATION in the order of the changes.
      factors: the factor of each change, in the same order.
    """
    for position in range(3):
        images = blend(degenerate(images, order[:, position]), images, factors[:, position])
    return images


def random_lighting(
    key: Key[Array, ""], images: Float32[Array, "batch height width 3"], deviation: float
) -> Float32[Array, "batch height width 3"]:
    """Add a random color to each image, along the principal components of ImageNet's colors.

    The color is the sum of the components, each scaled by its standard deviation and by a normal draw
    (Krizhevsky et al. 2012, section 4.1).

    Args:
      key: the key of the draws.
      images: RGB images in 0-255.
      deviation: the standard deviation of the draws, 0.1 in the paper.

    Returns:
      Images clipped to 0-255.
    """
    draws = deviation * jax.random.normal(key, (images.shape[0], 1, 1, 1, 3))
    components = np.asarray(_COMPONENTS, np.float32) * np.asarray(_DEVIATIONS, np.float32)
    # A sum of three products, since accelerators round the operands of a matrix product to bfloat16.
    colors = (draws * components.reshape(1, 1, 1, 3, 3)).sum(-1)
    return jnp.clip(images + colors, 0, 255)


def degenerate(
    images: Float32[Array, "batch height width 3"], kind: Int[Array, " batch"]
) -> Float32[Array, "batch height width 1"]:
    """Return the image that a factor of 0 gives: black, the mean gray, or the image in gray.

    Args:
      images: RGB images in 0-255.
      kind: BRIGHTNESS, CONTRAST or SATURATION, for each image.
    """
    red, green, blue = (images[..., channel : channel + 1] for channel in range(3))
    gray = _LUMA[0] * red + _LUMA[1] * green + _LUMA[2] * blue
    # Pillow takes the mean of whole levels. Sums of integers do not depend on their order, and so not on
    # the number of devices.
    levels = jnp.round(gray).astype(jnp.int32)
    mean = levels.sum((1, 2, 3), keepdims=True) / (images.shape[1] * images.shape[2])
    kind = kind.reshape(-1, 1, 1, 1)
    return jnp.where(kind == BRIGHTNESS, 0.0, jnp.where(kind == CONTRAST, mean, gray))


def blend(
    base: Float32[Array, "batch height width #channels"],
    images: Float32[Array, "batch height width channels"],
    factor: Float32[Array, " batch"],
) -> Float32[Array, "batch height width channels"]:
    """Return base + factor * (images - base), clipped to 0-255."""
    return jnp.clip(base + factor.reshape(-1, 1, 1, 1) * (images - base), 0, 255)
