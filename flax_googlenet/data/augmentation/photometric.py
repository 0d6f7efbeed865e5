"""Random changes of colour, as the paper took them from Howard 2013 (section 6)."""

import jax
import jax.numpy as jnp
import numpy as np

BRIGHTNESS, CONTRAST, SATURATION = 0, 1, 2

_LUMA = (0.299, 0.587, 0.114)  # of red, green, blue: ITU-R 601, as Pillow has it

# Principal components of the colours of ImageNet's pixels (Krizhevsky et al. 2012): their
# standard deviations, in 0-255, and the red, green and blue of each in a column.
_DEVIATIONS = (55.46, 4.794, 1.148)
_COMPONENTS = ((-0.5675, 0.7192, 0.4009), (-0.5808, -0.0045, -0.8140), (-0.5836, -0.6948, 0.4203))


def random_distortion(key: jax.Array, images: jax.Array, strength: float) -> jax.Array:
    """Change brightness, contrast and saturation of each image, in an order of its own.

    Howard ("Some Improvements on Deep Convolutional Neural Network Based Image
    Classification", 2013) drew an order, and factors between 0.5 and 1.5.

    Args:
      key: of the draws.
      images: float32 [batch, height, width, 3] in 0-255, red first.
      strength: factors are uniform in 1 +- strength.

    Returns:
      float32 in 0-255.
    """
    order_key, factor_key = jax.random.split(key)
    shape = (images.shape[0], 3)
    factors = jax.random.uniform(factor_key, shape, minval=1 - strength, maxval=1 + strength)
    return distort(images, random_orders(order_key, images.shape[0]), factors)


def random_orders(key: jax.Array, count: int) -> jax.Array:
    """Permutations of 0, 1 and 2, integers [count, 3]."""
    return jnp.argsort(jax.random.uniform(key, (count, 3)), axis=1)


def distort(images: jax.Array, order: jax.Array, factors: jax.Array) -> jax.Array:
    """Change brightness, contrast and saturation as Pillow's ImageEnhance, which Howard used.

    In float32, but clipped after each, as there: the three would commute without it, and
    their order mean nothing.

    Args:
      images: float32 [batch, height, width, 3] in 0-255, red first.
      order: BRIGHTNESS, CONTRAST and SATURATION, [batch, 3]: what is done first, and so on.
      factors: of what is done first, and so on, [batch, 3].
    """
    for turn in range(3):
        images = blend(degenerate(images, order[:, turn]), images, factors[:, turn])
    return images


def random_lighting(key: jax.Array, images: jax.Array, deviation: float) -> jax.Array:
    """Add a colour to each image: Gaussian along the principal components of ImageNet's colours.

    Krizhevsky et al. 2012, section 4.1: each component times a draw of mean 0 and the
    given deviation (there 0.1), times the component's own.

    Args:
      key: of the draws.
      images: float32 [batch, height, width, 3] in 0-255, red first.
      deviation: of the draws.

    Returns:
      float32, clipped to 0-255.
    """
    draws = deviation * jax.random.normal(key, (images.shape[0], 1, 1, 1, 3))
    components = np.asarray(_COMPONENTS, np.float32) * np.asarray(_DEVIATIONS, np.float32)
    # A sum of three products and no matrix product, which accelerators round to bfloat16.
    colors = (draws * components.reshape(1, 1, 1, 3, 3)).sum(-1)
    return jnp.clip(images + colors, 0, 255)


def degenerate(images: jax.Array, kind: jax.Array) -> jax.Array:
    """What a factor of 0 leaves of each image: black, its mean grey, or itself in grey.

    Args:
      images: float32 [batch, height, width, 3] in 0-255, red first.
      kind: integers [batch]: BRIGHTNESS, CONTRAST or SATURATION.

    Returns:
      float32 [batch, height, width, 1].
    """
    red, green, blue = (images[..., channel : channel + 1] for channel in range(3))
    gray = _LUMA[0] * red + _LUMA[1] * green + _LUMA[2] * blue
    # Of whole levels, as Pillow takes it: a sum of integers is the same in any order, and
    # so on any number of devices.
    levels = jnp.round(gray).astype(jnp.int32)
    mean = levels.sum((1, 2, 3), keepdims=True) / (images.shape[1] * images.shape[2])
    kind = kind.reshape(-1, 1, 1, 1)
    return jnp.where(kind == BRIGHTNESS, 0.0, jnp.where(kind == CONTRAST, mean, gray))


def blend(base: jax.Array, images: jax.Array, factor: jax.Array) -> jax.Array:
    """Clip base + factor * (images - base) to 0-255; `factor` is [batch]."""
    return jnp.clip(base + factor.reshape(-1, 1, 1, 1) * (images - base), 0, 255)
