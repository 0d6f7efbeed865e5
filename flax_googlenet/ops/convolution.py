"""Convolution, with the two cases that XLA leaves slow written as matrix products."""

import jax
import jax.numpy as jnp
from jax import lax


def conv_general_dilated_reference(
    lhs: jax.Array, rhs: jax.Array, window_strides, padding, **options
) -> jax.Array:
    """Convolution as XLA has it."""
    return lax.conv_general_dilated(lhs, rhs, window_strides, padding, **options)


def conv_general_dilated(lhs: jax.Array, rhs: jax.Array, window_strides, padding, **options) -> jax.Array:
    """`lax.conv_general_dilated` for NHWC images and HWIO kernels, for `flax.linen.Conv`.

    Two cases are matrix products here, so that their gradients are ones too:

    * 1x1 at stride 1 contracts the channels and nothing else; XLA's kernel gradient
      for it takes two to three times as long on CPUs.
    * A kernel larger than the image (5x5 on a 3x3 map, for small inputs) falls off
      XLA's fast path on CPUs and takes about eight times as long.

    Args:
      lhs: images, [batch, height, width, in].
      rhs: kernel, [height, width, in, out].
      window_strides, padding, options: as `lax.conv_general_dilated` takes them.

    Returns:
      [batch, height', width', out].
    """
    kernel, image = rhs.shape[:2], lhs.shape[1:3]
    is_plain = (
        not isinstance(padding, str)
        and tuple(window_strides) == (1, 1)
        and all(tuple(options.get(name) or (1, 1)) == (1, 1) for name in ("lhs_dilation", "rhs_dilation"))
        and options.get("feature_group_count", 1) == 1
    )
    if is_plain and (kernel == (1, 1) or kernel[0] > image[0] or kernel[1] > image[1]):
        return _product_of_patches(lhs, rhs, padding, options.get("precision"))
    return conv_general_dilated_reference(lhs, rhs, window_strides, padding, **options)


def _product_of_patches(lhs: jax.Array, rhs: jax.Array, padding, precision) -> jax.Array:
    rows, columns, _, features = rhs.shape
    padded = jnp.pad(lhs, ((0, 0), *map(tuple, padding), (0, 0)))
    height, width = padded.shape[1] - rows + 1, padded.shape[2] - columns + 1
    # Columns, then rows: 5 + 5 slices of a 5x5 kernel in place of 25, which all have a gradient to compile.
    across = jnp.concatenate([padded[:, :, j : j + width] for j in range(columns)], axis=-1)
    patches = jnp.concatenate([across[:, i : i + height] for i in range(rows)], axis=-1)
    return lax.dot_general(
        patches,
        rhs.reshape(-1, features),
        (((3,), (0,)), ((), ())),
        precision=precision,
    )
