"""Winograd's algorithm F(2x2, 3x3) for 3x3 convolutions (Lavin & Gray 2016, section 4.1).

It computes 2x2 outputs from 4x4 inputs with 16 multiplications in place of 36. The input of each tile, the
kernel and the output are transformed by matrices of 0, 1, -1 and 1/2, and the products in between are 16
matrix products.
"""

import itertools
from collections.abc import Sequence

import jax.numpy as jnp
import numpy as np
from jax import lax
from jaxtyping import Array, Float

TILE = 2  # outputs of a tile, in each direction
WINDOW = TILE + 2  # inputs of a tile

# The matrices B^T, G and A^T of the paper.
_INPUT = np.array([[1, 0, -1, 0], [0, 1, 1, 0], [0, -1, 1, 0], [0, 1, 0, -1]])
_KERNEL = np.array([[1, 0, 0], [0.5, 0.5, 0.5], [0.5, -0.5, 0.5], [0, 0, 1]])
_OUTPUT = np.array([[1, 1, 1, 0], [0, 1, -1, -1]])

# Pixels of the maps that are transformed at a time. The transformed maps take four times the memory of the
# maps, and this many of them stay in the cache.
_PIXELS_AT_ONCE = 3136

Maps = Float[Array, "batch height width channels"]


def transform_kernel(
    kernel: Float[Array, "3 3 channels features"],
) -> Float[Array, "4 4 channels features"]:
    """Return a kernel in the form that `convolve` takes."""
    matrix = jnp.asarray(_KERNEL, kernel.dtype)
    return jnp.einsum("ai,bj,ijco->abco", matrix, matrix, kernel)


def convolve(
    x: Maps, kernel: Float[Array, "4 4 channels features"], *, in_parts: bool
) -> Float[Array, "batch height width features"]:
    """Convolve with a 3x3 kernel at stride 1, with one pixel of zeros around the maps.

    Args:
      x: the feature maps.
      kernel: the kernel, transformed by `transform_kernel`.
      in_parts: whether to take a few images at a time, whose transformed maps stay in the cache. The
        batch must then be on one device.
    """
    batch, height, width, channels = x.shape
    part = max(_PIXELS_AT_ONCE // (height * width), 1)
    while batch % part:
        part -= 1
    if not in_parts or part == batch:
        return _convolve(x, kernel)
    parts = x.reshape(batch // part, part, height, width, channels)
    # The barrier keeps XLA from transforming the kernel again for every part.
    kernel = lax.optimization_barrier(kernel)
    y = lax.map(lambda part: _convolve(part, kernel), parts)
    return y.reshape(batch, height, width, -1)


def _convolve(
    x: Maps, kernel: Float[Array, "4 4 channels features"]
) -> Float[Array, "batch height width features"]:
    batch, height, width, _ = x.shape
    rows, columns = -(-height // TILE), -(-width // TILE)
    padding = [(0, 0), (1, TILE * rows + 1 - height), (1, TILE * columns + 1 - width), (0, 0)]
    padded = lax.optimization_barrier(jnp.pad(x, padding))
    # Each barrier keeps XLA from computing the step before it again for each of its uses.
    lines = [padded[:, i : i + TILE * rows - 1 : TILE] for i in range(WINDOW)]
    products = []
    for row, kernels in zip(_INPUT, kernel, strict=True):
        line = lax.optimization_barrier(_combine(row, lines))
        pixels = [line[:, :, j : j + TILE * columns - 1 : TILE] for j in range(WINDOW)]
        products.append(
            [
                lax.dot_general(_combine(column, pixels), matrix, (((3,), (0,)), ((), ())))
                for column, matrix in zip(_INPUT, kernels, strict=True)
            ]
        )
    sums = [
        [lax.optimization_barrier(_combine(row, column)) for column in zip(*products, strict=True)]
        for row in _OUTPUT
    ]
    outputs = [jnp.stack([_combine(column, line) for column in _OUTPUT], axis=3) for line in sums]
    features = kernel.shape[-1]
    wide = [lax.optimization_barrier(line.reshape(batch, rows, TILE * columns, features)) for line in outputs]
    y = jnp.stack(wide, axis=2).reshape(batch, TILE * rows, TILE * columns, features)
    return lax.optimization_barrier(y)[:, :height, :width]


def _combine(coefficients: np.ndarray, arrays: Sequence[Array]) -> Array:
    """Return the sum of arrays, each times a coefficient of 0, 1 or -1."""
    terms = [
        array if coefficient > 0 else -array
        for coefficient, array in zip(coefficients, arrays, strict=True)
        if coefficient
    ]
    *_, total = itertools.accumulate(terms)
    return total
