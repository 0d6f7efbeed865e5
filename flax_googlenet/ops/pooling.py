"""Max pooling with a fast gradient, and the average pooling of the auxiliary heads."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
from jax import lax
from jaxtyping import Array, Float, Num

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
    lowest = -jnp.inf if jnp.issubdtype(x.dtype, jnp.floating) else jnp.iinfo(x.dtype).min
    return lax.reduce_window(
        x,
        np.asarray(lowest, x.dtype),
        lax.max,
        (1, window, window, 1),
        (1, stride, stride, 1),
        ((0, 0), *padding, (0, 0)),
    )


@functools.partial(jax.custom_vjp, nondiff_argnums=(1, 2, 3))
def max_pool(
    x: Num[Array, "batch height width channels"], window: int, stride: int, padding: Padding
) -> Num[Array, "batch height_out width_out channels"]:
    """Apply max pooling over height and width.

    The gradient of an output goes to the first maximum of its window in row-major order, as
    in XLA. On CPUs it is computed one window position at a time, since XLA's
    `select_and_scatter` takes several times as long there.

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
    return max_pool_reference(x, window, stride, padding)


def _max_pool_forward(
    x: Array, window: int, stride: int, padding: Padding
) -> tuple[Array, tuple[Array, Array]]:
    y = max_pool_reference(x, window, stride, padding)
    return y, (x, y)


def _max_pool_backward(
    window: int, stride: int, padding: Padding, residuals: tuple[Array, Array], gradient: Array
) -> tuple[Array]:
    x, y = residuals
    return (
        lax.platform_dependent(
            x,
            y,
            gradient,
            cpu=functools.partial(_gradient_by_position, window, stride, padding),
            default=functools.partial(_gradient_by_scatter, window, stride, padding),
        ),
    )


def _gradient_by_scatter(
    window: int,
    stride: int,
    padding: Padding,
    x: Float[Array, "batch height width channels"],
    y: Float[Array, "batch height_out width_out channels"],
    gradient: Float[Array, "batch height_out width_out channels"],
) -> Float[Array, "batch height width channels"]:
    del y
    _, pullback = jax.vjp(lambda x: max_pool_reference(x, window, stride, padding), x)
    return pullback(gradient)[0]


def _gradient_by_position(
    window: int,
    stride: int,
    padding: Padding,
    x: Float[Array, "batch height width channels"],
    y: Float[Array, "batch height_out width_out channels"],
    gradient: Float[Array, "batch height_out width_out channels"],
) -> Float[Array, "batch height width channels"]:
    (top, bottom), (left, right) = padding
    padded = jnp.pad(
        x, ((0, 0), (top, bottom), (left, right), (0, 0)), constant_values=np.asarray(-jnp.inf, x.dtype)
    )
    batch, height, width, channels = padded.shape
    _, rows, columns, _ = y.shape
    zero = np.zeros((), gradient.dtype)
    free = jnp.ones(y.shape, bool)
    total = jnp.zeros(padded.shape, gradient.dtype)
    for i in range(window):
        for j in range(window):
            candidate = lax.slice(
                padded,
                (0, i, j, 0),
                (batch, i + stride * (rows - 1) + 1, j + stride * (columns - 1) + 1, channels),
                (1, stride, stride, 1),
            )
            chosen = free & (candidate == y)
            free = free & ~chosen
            total += lax.pad(
                jnp.where(chosen, gradient, zero),
                zero,
                (
                    (0, 0, 0),
                    (i, height - i - stride * (rows - 1) - 1, stride - 1),
                    (j, width - j - stride * (columns - 1) - 1, stride - 1),
                    (0, 0, 0),
                ),
            )
    return total[:, top : height - bottom, left : width - right, :]


max_pool.defvjp(_max_pool_forward, _max_pool_backward)


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
