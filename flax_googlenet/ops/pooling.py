"""Max pooling with a fast form, and the average pooling of the auxiliary heads."""

import functools
import itertools
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax import lax
from jax.typing import DTypeLike
from jaxtyping import Array, Float, Int8, Num

from flax_googlenet.ops import fast_paths

Padding = tuple[tuple[int, int], tuple[int, int]]


def ceil_mode_padding(size: tuple[int, int], window: int, stride: int) -> Padding:
    """Return the padding at the end that makes the last window start inside the input.

    The size of the output is ceil((in - window) / stride) + 1, as in Caffe. The paper's table
    needs it: 112 -> 56 -> 28 -> 14 -> 7 with windows of 3 and strides of 2.

    Args:
      size: height and width of the input.
      window: side of the pooling window.
      stride: step between windows.

    >>> ceil_mode_padding((112, 112), window=3, stride=2)
    ((0, 1), (0, 1))
    >>> ceil_mode_padding((7, 7), window=3, stride=2)
    ((0, 0), (0, 0))
    """

    def end(length: int) -> int:
        outputs = max(-(-(length - window) // stride), 0) + 1
        return max((outputs - 1) * stride + window - length, 0)

    return (0, end(size[0])), (0, end(size[1]))


def max_pool_reference(
    x: Num[Array, "batch height width channels"], window: int, stride: int, padding: Padding
) -> Num[Array, "batch height_out width_out channels"]:
    """Apply XLA's max pooling, whose gradient is `select_and_scatter`."""
    return lax.reduce_window(
        x,
        _lowest(x.dtype),
        lax.max,
        (1, window, window, 1),
        (1, stride, stride, 1),
        ((0, 0), *padding, (0, 0)),
    )


def max_pool(
    x: Num[Array, "batch height width channels"], window: int, stride: int, padding: Padding
) -> Num[Array, "batch height_out width_out channels"]:
    """Apply max pooling over height and width.

    The gradient of an output goes to the first maximum of its window in row-major order, as in XLA.

    Args:
      x: the feature maps.
      window: side of the square window.
      stride: step between windows, in both directions.
      padding: ((top, bottom), (left, right)), filled with minus infinity.

    Returns:
      Maps of height (height + top + bottom - window) // stride + 1, and likewise for the width.

    >>> x = jnp.arange(16.0).reshape(1, 4, 4, 1)
    >>> max_pool(x, 2, 2, ((0, 0), (0, 0))).ravel().tolist()
    [5.0, 7.0, 13.0, 15.0]
    """
    if fast_paths.is_on("max_pool"):
        return _max_pool(x, window, stride, padding)
    return max_pool_reference(x, window, stride, padding)


def _lowest(dtype: DTypeLike) -> np.ndarray:
    is_floating = jnp.issubdtype(dtype, jnp.floating)
    return np.asarray(-jnp.inf if is_floating else jnp.iinfo(dtype).min, dtype)


def _positions(x: Array, window: int, stride: int, padding: Padding) -> list[Array]:
    """Return the pixels at each position in a window, for all windows; positions are in row-major order."""
    padded = lax.pad(x, _lowest(x.dtype), ((0, 0, 0), *((*edges, 0) for edges in padding), (0, 0, 0)))
    # Without the barrier XLA pads the input again for each position.
    padded = lax.optimization_barrier(padded)
    height, width = ((length - window) // stride * stride + 1 for length in padded.shape[1:3])
    return [
        padded[:, i : i + height : stride, j : j + width : stride]
        for i in range(window)
        for j in range(window)
    ]


@functools.partial(jax.custom_vjp, nondiff_argnums=(1, 2, 3))
def _max_pool(x: Array, window: int, stride: int, padding: Padding) -> Array:
    return functools.reduce(lax.max, _positions(x, window, stride, padding))


def _max_pool_forward(
    x: Array, window: int, stride: int, padding: Padding
) -> tuple[Array, tuple[Array, tuple[int, ...]]]:
    positions = _positions(x, window, stride, padding)
    y = functools.reduce(lax.max, positions)
    first = jnp.full(y.shape, -1, jnp.int8)  # stays where y is not a number
    for index, pixels in reversed(list(enumerate(positions))):
        first = jnp.where(pixels == y, np.int8(index), first)
    return y, (first, x.shape)


def _max_pool_backward(
    window: int, stride: int, padding: Padding, residuals: tuple[Array, tuple[int, ...]], gradient: Array
) -> tuple[Array]:
    """Give each pixel the gradients of the windows whose first maximum it is.

    Pixel stride * o + i of the padded input is in the windows o - a, at position i + stride * a.
    """
    first, (batch, *size, channels) = residuals
    reach = -(-window // stride)  # number of windows with a pixel, in each direction
    groups = [-(-(length + start) // stride) for length, (start, _) in zip(size, padding, strict=True)]
    missing = [max(count - length, 0) for count, length in zip(groups, gradient.shape[1:3], strict=True)]
    edges = ((0, 0, 0), *((reach - 1, count, 0) for count in missing), (0, 0, 0))
    # Without the barriers XLA pads both again for each of the windows.
    first = lax.optimization_barrier(lax.pad(first, np.int8(-1), edges))
    gradient = lax.optimization_barrier(lax.pad(gradient, np.zeros((), gradient.dtype), edges))
    zero = np.zeros((), gradient.dtype)
    total: Any = 0
    for a, b in itertools.product(range(reach), repeat=2):
        rows = slice(reach - 1 - a, reach - 1 - a + groups[0])
        columns = slice(reach - 1 - b, reach - 1 - b + groups[1])
        # Axes: image, o and i of the row, o and i of the column, channel.
        is_first = first[:, rows, None, columns, None] == _indices(window, stride, a, b)
        total += jnp.where(is_first, gradient[:, rows, None, columns, None], zero)
    total = total.reshape(batch, groups[0] * stride, groups[1] * stride, channels)
    (top, _), (left, _) = padding
    return (total[:, top : top + size[0], left : left + size[1]],)


def _indices(window: int, stride: int, a: int, b: int) -> Int8[np.ndarray, "1 1 {stride} 1 {stride} 1"]:
    """Return the positions of pixels (i, j) in a window that starts (a, b) strides earlier; -2 outside it."""
    rows, columns = np.ogrid[stride * a : stride * (a + 1), stride * b : stride * (b + 1)]
    indices = np.where((rows < window) & (columns < window), rows * window + columns, -2)
    return indices.astype(np.int8).reshape(1, 1, stride, 1, stride, 1)


_max_pool.defvjp(_max_pool_forward, _max_pool_backward)


def grid_windows(size: int, outputs: int = 4, *, adaptive: bool = False) -> list[tuple[int, int]]:
    """Return the start and end of the averaging windows of an auxiliary head, along one axis.

    The paper averages 5x5 windows at stride 3 of a 14x14 map, which gives 4x4. Maps of other
    sizes have the same number of windows, so that the head's weights do not depend on the size
    of the input. Each of the `outputs` windows covers 5/14 of the map (rounded up), and they are
    spread evenly from edge to edge. Adaptive windows are PyTorch's, from floor(i * size / outputs) to
    ceil((i + 1) * size / outputs).

    >>> grid_windows(14)
    [(0, 5), (3, 8), (6, 11), (9, 14)]
    >>> grid_windows(3)
    [(0, 2), (0, 2), (1, 3), (1, 3)]
    >>> grid_windows(14, adaptive=True)
    [(0, 4), (3, 7), (7, 11), (10, 14)]
    """
    if adaptive:
        return [(i * size // outputs, -(-(i + 1) * size // outputs)) for i in range(outputs)]
    window = -(-5 * size // 14)
    starts = [(2 * i * (size - window) + outputs - 1) // (2 * (outputs - 1)) for i in range(outputs)]
    return [(start, start + window) for start in starts]


def average_pool_grid(
    x: Float[Array, "batch height width channels"], outputs: int = 4, *, adaptive: bool = False
) -> Float[Array, "batch {outputs} {outputs} channels"]:
    """Average a feature map over the windows of `grid_windows`.

    At 14x14, and unless `adaptive`, this is the paper's "average pooling layer with 5x5 filter
    size and stride 3".
    """

    def weights(size: int) -> Float[Array, "outputs size"]:
        matrix = np.zeros((outputs, size))
        windows = grid_windows(size, outputs, adaptive=adaptive)
        for row, (start, end) in zip(matrix, windows, strict=True):
            row[start:end] = 1 / (end - start)
        return jnp.asarray(matrix, x.dtype)

    return jnp.einsum("ih,jw,nhwc->nijc", weights(x.shape[1]), weights(x.shape[2]), x)
