"""The initial variables of a network, drawn without compiling an initializer per layer.

XLA takes half a minute of CPU time to compile `model.init`, because it compiles a random number
program for each kernel. However, element i of an array depends only on the array's key and on i,
and the initializers of two layers differ only by a factor. One small program therefore draws a
block of elements of any kernel, and is called until the kernel is full.
"""

import dataclasses
import math
from collections.abc import Callable, Mapping
from typing import Any, TypeVar

import jax
import jax.numpy as jnp
import numpy as np
from flax import linen as nn
from flax.traverse_util import flatten_dict, unflatten_dict
from jax.nn.initializers import Initializer
from jaxtyping import Array, Float32, Key, UInt32

BLOCK = 1 << 16  # number of elements that a call draws

Tree = TypeVar("Tree")


@dataclasses.dataclass(frozen=True)
class KernelInitializer:
    """An initializer of kernels, both as Flax takes it and as a function of random bits.

    Attributes:
      initializer: the initializer for Flax.
      draw: turns random bits into draws of the unscaled distribution.
      scale: returns the factor of the draws, given the number of inputs and of outputs of a unit.
    """

    initializer: Initializer
    draw: Callable[[UInt32[Array, " block"]], Float32[Array, " block"]]
    scale: Callable[[int, int], np.float32]


def initial_variables(model: nn.Module, initializer: str, seed: int, image_size: int) -> dict[str, Any]:
    """Draw the variables of a network, bit for bit those of `model.init(jax.random.key(seed), images)`.

    Args:
      model: a network from `build_model`. All of its variables except the kernels start as
        constants.
      initializer: the initializer of its kernels, a name in `INITIALIZERS`.
      seed: the seed of the root key.
      image_size: side of the images in pixels.

    Returns:
      The collection "params", and "batch_stats" if there is one, as NumPy arrays.
    """
    key, images = jax.random.key(seed), jnp.zeros((1, image_size, image_size, 3), jnp.float32)
    variables = fill_constants(lambda: without_kernels(model).init(key, images))
    return {**variables, "params": draw_kernels(variables["params"], initializer, seed)}


def without_kernels(model: nn.Module) -> nn.Module:
    """Return the network with kernels of zeros, so that all of its variables start as constants."""
    network: nn.Module = model.clone(kernel_init=nn.initializers.zeros_init())
    return network


def draw_kernels(params: Mapping[str, Any], initializer: str, seed: int) -> dict[str, Any]:
    """Replace the kernels with those that `model.init(jax.random.key(seed), images)` draws.

    Args:
      params: the parameters of a network. Only the shapes of the kernels matter.
      initializer: the initializer of the kernels, a name in `INITIALIZERS`.
      seed: the seed of the root key.

    Returns:
      The parameters with new kernels.
    """
    draw, scale_of = INITIALIZERS[initializer].draw, INITIALIZERS[initializer].scale
    draw_block = jax.jit(lambda key, first, scale: draw(_random_bits(key, first)) * scale)

    def draw_kernel(key: Key[Array, ""], shape: tuple[int, ...]) -> Float32[np.ndarray, "..."]:
        kernel = np.empty(math.prod(shape), np.float32)
        scale = scale_of(*_fans(shape))
        for first in range(0, kernel.size, BLOCK):
            part = kernel[first : first + BLOCK]
            part[:] = jax.device_get(draw_block(key, np.uint32(first), scale))[: part.size]
        return kernel.reshape(shape)

    drawn = flatten_dict(params)
    kernels = [path for path in drawn if path[-1] == "kernel"]
    layers = unflatten_dict(dict.fromkeys(kernels))
    keys = flatten_dict(dict(_Keys(layers).init(jax.random.key(seed))["params"]))
    drawn |= {path: draw_kernel(keys[path], drawn[path].shape) for path in kernels}
    nested: dict[str, Any] = unflatten_dict(drawn)
    return nested


def fill_constants(make: Callable[[], Tree]) -> Tree:
    """Call a function that returns a tree of constant arrays, without compiling a program per shape.

    Only the first element of each array is computed; NumPy repeats it.

    Returns:
      The tree with read-only NumPy arrays.
    """
    shapes: list[tuple[int, ...]] = []  # known from the only trace of `make`

    @jax.jit
    def first() -> Tree:
        tree = make()
        shapes.extend(leaf.shape for leaf in jax.tree.leaves(tree))
        return jax.tree.map(lambda x: jax.lax.slice(x, (0,) * x.ndim, (1,) * x.ndim), tree)

    values, structure = jax.tree.flatten(jax.device_get(first()))
    filled = [np.broadcast_to(value.reshape(()), shape) for value, shape in zip(values, shapes, strict=True)]
    return jax.tree.unflatten(structure, filled)


class _Keys(nn.Module):
    """A network whose parameters are the keys that another network draws its kernels from.

    Flax derives a key from the names on the path to a layer and from the number of parameters
    that the layer has already made, which is 0 for a kernel.
    """

    layers: Mapping[str, Any]

    @nn.compact
    def __call__(self) -> None:
        for name, sublayers in self.layers.items():
            if sublayers is None:
                self.param(name, lambda key: key)
            else:
                _Keys(sublayers, name=name)()


def _random_bits(key: Key[Array, ""], first: UInt32[Array, ""]) -> UInt32[Array, " block"]:
    """Return elements `first` to `first + BLOCK` of `jax.random.bits(key, shape)`, flattened.

    The elements do not depend on the shape: JAX combines the two words that threefry returns for
    counter i into element i, and `fold_in` returns both words.
    """
    counters = first + jnp.arange(BLOCK, dtype=jnp.uint32)
    words = jax.vmap(lambda counter: jax.random.key_data(jax.random.fold_in(key, counter)))(counters)
    return words[:, 0] ^ words[:, 1]


def _uniform(
    bits: UInt32[Array, " block"], low: np.float32 | Array, high: np.float32 | Array
) -> Float32[Array, " block"]:
    """Repeat `jax.random.uniform`: the upper 23 bits are the fraction of a number in [1, 2)."""
    one = np.float32(1)
    fraction = jax.lax.shift_right_logical(bits, np.uint32(9)) | one.view(np.uint32)
    return jnp.maximum(low, (jax.lax.bitcast_convert_type(fraction, jnp.float32) - one) * (high - low) + low)


def _truncated_normal(bits: UInt32[Array, " block"]) -> Float32[Array, " block"]:
    """Repeat `jax.random.truncated_normal` between -2 and 2."""
    bound, sqrt2 = np.float32(2), np.float32(np.sqrt(2))
    low, high = jax.lax.erf(-bound / sqrt2), jax.lax.erf(bound / sqrt2)
    inside = np.nextafter(bound, np.float32(0))
    return jnp.clip(sqrt2 * jax.lax.erf_inv(_uniform(bits, low, high)), -inside, inside)


def _fans(shape: tuple[int, ...]) -> tuple[int, int]:
    """Return the number of inputs and of outputs of a unit whose kernel has this shape."""
    window = math.prod(shape[:-2])
    return shape[-2] * window, shape[-1] * window


def _xavier_scale(fan_in: int, fan_out: int) -> np.float32:
    return np.sqrt(np.float32(3) * np.float32(1 / ((fan_in + fan_out) / 2)))


def _he_scale(fan_in: int, _: int) -> np.float32:
    # The constant is the standard deviation of a normal distribution truncated to [-2, 2].
    return np.sqrt(np.float32(2 / fan_in)) / np.float32(0.87962566103423978)


def _lecun_scale(fan_in: int, _: int) -> np.float32:
    return np.sqrt(np.float32(3) * np.float32(1 / fan_in))


def _symmetric_uniform(bits: UInt32[Array, " block"]) -> Float32[Array, " block"]:
    return _uniform(bits, np.float32(-1), np.float32(1))


INITIALIZERS = {
    "xavier": KernelInitializer(nn.initializers.xavier_uniform(), _symmetric_uniform, _xavier_scale),
    "he": KernelInitializer(nn.initializers.he_normal(), _truncated_normal, _he_scale),
    "lecun": KernelInitializer(nn.initializers.lecun_uniform(), _symmetric_uniform, _lecun_scale),
}
