"""Convolution, with matrix products for the two cases that XLA compiles to slow code."""

from collections.abc import Sequence
from typing import Any

import jax.numpy as jnp
from jax import lax
from jaxtyping import Array, Float

Padding = str | Sequence[tuple[int, int]]


def conv_general_dilated_reference(
    lhs: Float[Array, "batch height width _"],
    rhs: Float[Array, "rows columns _ features"],
    window_strides: Sequence[int],
    padding: Padding,
    **options: Any,
) -> Float[Array, "batch height_out width_out features"]:
    """Convolve with XLA's convolution."""
    return lax.conv_general_dilated(lhs, rhs, window_strides, padding, **options)


def conv_general_dilated(
    lhs: Float[Array, "batch height width _"],
    rhs: Float[Array, "rows columns _ features"],
    window_strides: Sequence[int],
    padding: Padding,
    **options: Any,
) -> Float[Array, "batch height_out width_out features"]:
    """Convolve as `lax.conv_general_dilated` does, for `flax.linen.Conv`.

    Two cases and their gradients are computed as matrix products, which are faster on CPUs:

    * A 1x1 kernel at stride 1 only contracts the channels. XLA's gradient of such a kernel takes
      two to three times as long.
    * A kernel larger than the image, such as 5x5 on a 3x3 map, is not on XLA's fast path, which
      makes XLA about eight times as slow.

    Args:
      lhs: the images.
      rhs: the kernel.
      window_strides, padding, options: as in `lax.conv_general_dilated`.
    """
    kernel, image = rhs.shape[:2], lhs.shape[1:3]
    is_plain = (
        tuple(window_strides) == (1, 1)
        and all(tuple(options.get(name) or (1, 1)) == (1, 1) for name in ("lhs_dilation", "rhs_dilation"))
        and options.get("feature_group_count", 1) == 1
    )
    is_slow = kernel == (1, 1) or kernel[0] > image[0] or kernel[1] > image[1]
    if is_plain and is_slow and not isinstance(padding, str):
        return _product_of_patches(lhs, rhs, padding, options.get("precision"))
    return conv_general_dilated_reference(lhs, rhs, window_strides, padding, **options)


def _product_of_patches(
    lhs: Float[Array, "batch height width channels"],
    rhs: Float[Array, "rows columns channels features"],
    padding: Sequence[tuple[int, int]],
    precision: Any,
) -> Float[Array, "batch height_out width_out features"]:
    rows, columns, _, features = rhs.shape
    padded = jnp.pad(lhs, ((0, 0), *map(tuple, padding), (0, 0)))
    height, width = padded.shape[1] - rows + 1, padded.shape[2] - columns + 1
    # Columns first, then rows: 5 + 5 slices for a 5x5 kernel instead of 25, each with a gradient to compile.
    across = jnp.concatenate([padded[:, :, j : j + width] for j in range(columns)], axis=-1)
    patches = jnp.concatenate([across[:, i : i + height] for i in range(rows)], axis=-1)
    return lax.dot_general(
        patches,
        rhs.reshape(-1, features),
        (((3,), (0,)), ((), ())),
        precision=precision,
    )
