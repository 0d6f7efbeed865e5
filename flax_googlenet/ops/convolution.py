"""Convolution, with faster forms of the cases that XLA compiles to slow code."""

from collections.abc import Sequence

import jax
import jax.numpy as jnp
from jax import lax
from jaxtyping import Array, Float

from flax_googlenet.ops import fast_paths, winograd

Padding = str | Sequence[tuple[int, int]]
Maps = Float[Array, "batch height width channels"]
Kernel = Float[Array, "rows columns channels features"]
Features = Float[Array, "batch height_out width_out features"]

# Below these, the transforms of Winograd's algorithm cost more than they save.
_WINOGRAD_CHANNELS, _WINOGRAD_SIDE = 64, 28

_HALF = ((1, 1), (1, 1))  # the padding of a 3x3 kernel that keeps the size of the maps


def convolve_reference(x: Maps, kernel: Kernel, stride: int, padding: Padding) -> Features:
    """Convolve with XLA's convolution."""
    return lax.conv_general_dilated(
        x, kernel, (stride, stride), padding, dimension_numbers=("NHWC", "HWIO", "NHWC")
    )


def convolve(x: Maps, kernel: Kernel, stride: int, padding: Padding) -> Features:
    """Convolve feature maps with a kernel.

    Two cases at stride 1 have faster forms on CPUs, for their gradients too:

    * A kernel larger than the image, such as 5x5 on a 3x3 map, is not on XLA's fast path, which makes XLA
      about eight times as slow. It becomes a product with patches of the image.
    * A 3x3 kernel between many channels takes fewer multiplications by Winograd's algorithm.

    Args:
      x: the feature maps.
      kernel: the kernel.
      stride: step between windows, in both directions.
      padding: ((top, bottom), (left, right)), filled with zeros, or "SAME" for TensorFlow's.
    """
    if stride == 1 and not isinstance(padding, str):
        rows, columns = kernel.shape[:2]
        if fast_paths.is_on("patches") and (rows > x.shape[1] or columns > x.shape[2]):
            return _multiply_patches(x, kernel, padding)
        if padding == _HALF and uses_winograd(x, kernel):
            return _convolve_3x3(x, kernel)
    return convolve_reference(x, kernel, stride, padding)


def uses_winograd(
    x: Maps, kernel: Float[Array, "rows columns _ features"], *, least_side: int = _WINOGRAD_SIDE
) -> bool:
    """Return whether `convolve` uses Winograd's algorithm, at stride 1 and with one pixel of padding.

    The rounding error of the algorithm is a few times that of the plain form, so half precision is left out.

    Args:
      x: the feature maps.
      kernel: the kernel.
      least_side: the least side of the maps.
    """
    return (
        fast_paths.is_on("winograd")
        and kernel.shape[:2] == (3, 3)
        and min(kernel.shape[2:]) >= _WINOGRAD_CHANNELS
        and min(x.shape[1:3]) >= least_side
        and x.dtype.itemsize >= 4
    )


def convolve_transformed(
    x: Maps, kernel: Float[Array, "4 4 channels features"]
) -> Float[Array, "batch height width features"]:
    """Convolve by Winograd's algorithm with a kernel that `winograd.transform_kernel` has transformed."""
    # `lax.map` would gather a batch that is split over devices.
    return winograd.convolve(x, kernel, in_parts=jax.device_count() == 1)


def _multiply_patches(x: Maps, kernel: Kernel, padding: Sequence[tuple[int, int]]) -> Features:
    rows, columns, _, features = kernel.shape
    padded = jnp.pad(x, ((0, 0), *map(tuple, padding), (0, 0)))
    height, width = padded.shape[1] - rows + 1, padded.shape[2] - columns + 1
    # Columns first, then rows: 5 + 5 slices for a 5x5 kernel instead of 25, each with a gradient to compile.
    across = jnp.concatenate([padded[:, :, j : j + width] for j in range(columns)], axis=-1)
    patches = jnp.concatenate([across[:, i : i + height] for i in range(rows)], axis=-1)
    return lax.dot_general(patches, kernel.reshape(-1, features), (((3,), (0,)), ((), ())))


@jax.custom_vjp
def _convolve_3x3(x: Maps, kernel: Kernel) -> Features:
    return convolve_transformed(x, winograd.transform_kernel(kernel))


def _convolve_3x3_forward(x: Maps, kernel: Kernel) -> tuple[Features, tuple[Maps, Kernel]]:
    return _convolve_3x3(x, kernel), (x, kernel)


def _convolve_3x3_backward(residuals: tuple[Maps, Kernel], gradient: Features) -> tuple[Maps, Kernel]:
    x, kernel = residuals
    # The gradient of the input is a convolution with the flipped kernel. That of the kernel is Eigen's,
    # which the algorithm would not make faster.
    flipped = jnp.flip(kernel, (0, 1)).swapaxes(2, 3)
    _, pullback = jax.vjp(lambda kernel: convolve_reference(x, kernel, 1, _HALF), kernel)
    return _convolve_3x3(gradient, flipped), pullback(gradient)[0]


_convolve_3x3.defvjp(_convolve_3x3_forward, _convolve_3x3_backward)
