"""A network's initial variables, drawn without compiling the initialiser of every layer.

Compiled as it is, `model.init` takes XLA half a minute of CPU time: each kernel is a program of random
numbers of its own. But element i of an array depends on the array's key and on i alone, and the
initialisers of two layers differ in a factor alone. So one small program draws a block of elements of
any kernel, and runs until there are enough.
"""

import math
from collections.abc import Callable, Mapping
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from flax import linen as nn
from flax.traverse_util import flatten_dict, unflatten_dict

BLOCK = 1 << 16  # elements that a call draws


def initial_variables(model: nn.Module, initializer: str, seed: int, image_size: int) -> dict[str, Any]:
    """Draw a network's variables: to the bit those of `model.init(jax.random.key(seed), images)`.

    Args:
      model: the network as `build_model` makes it; all of its variables but the kernels start as constants.
      initializer: of its kernels, as `config.model.initializer` names it.
      seed: of the root key.
      image_size: side of an image in pixels.

    Returns:
      "params", and "batch_stats" if there are any, as arrays of the host.
    """
    key, images = jax.random.key(seed), jnp.zeros((1, image_size, image_size, 3), jnp.float32)
    variables = fill_constants(lambda: without_kernels(model).init(key, images))
    return {**variables, "params": draw_kernels(variables["params"], initializer, seed)}


def without_kernels(model: nn.Module) -> nn.Module:
    """Return the network with zeros for its kernels, so that all of its variables start as constants."""
    network: nn.Module = model.clone(kernel_init=nn.initializers.zeros_init())
    return network


def draw_kernels(params: Mapping[str, Any], initializer: str, seed: int) -> dict[str, Any]:
    """Return parameters with their kernels as `model.init(jax.random.key(seed), images)` draws them.

    Args:
      params: nested as the network's own; kernels count for their shapes alone.
      initializer: as `config.model.initializer` names it.
      seed: of the root key.
    """
    draw, scale_of = _INITIALIZERS[initializer]
    draw_block = jax.jit(lambda key, first, scale: draw(_random_bits(key, first)) * scale)

    def draw_kernel(key: jax.Array, shape: tuple[int, ...]) -> np.ndarray:
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


def fill_constants(make: Callable[[], Any]) -> Any:
    """Call a function whose results have one value throughout each.

    Compiled as it is, filling arrays of a hundred shapes would be a hundred programs; this compiles
    the first element of each alone.

    Returns:
      The results as arrays of the host, which cannot be written to.
    """
    first = jax.jit(lambda: jax.tree.map(lambda x: jax.lax.slice(x, (0,) * x.ndim, (1,) * x.ndim), make()))
    return jax.tree.map(
        lambda like, value: np.broadcast_to(value.reshape(()), like.shape),
        jax.eval_shape(make),
        jax.device_get(first()),
    )


class _Keys(nn.Module):
    """Has the key that a network draws a kernel from in the kernel's place.

    Flax derives it from the names that lead to a layer and from the number of parameters that the
    layer has made before, which for a kernel is none.
    """

    layers: Mapping[str, Any]

    @nn.compact
    def __call__(self) -> None:
        for name, below in self.layers.items():
            if below is None:
                self.param(name, lambda key: key)
            else:
                _Keys(below, name=name)()


def _random_bits(key: jax.Array, first: jax.Array) -> jax.Array:
    """Elements `first` to `first + BLOCK` of `jax.random.bits(key, shape)`, flattened, whatever the shape.

    JAX gives element i the two words of threefry of the counter i, combined; `fold_in` gives both.
    """
    counters = first + jnp.arange(BLOCK, dtype=jnp.uint32)
    words = jax.vmap(lambda counter: jax.random.key_data(jax.random.fold_in(key, counter)))(counters)
    return words[:, 0] ^ words[:, 1]


def _uniform(bits: jax.Array, low: Any, high: Any) -> jax.Array:
    """As `jax.random.uniform`: the upper 23 bits are the fraction of a number in [1, 2)."""
    one = np.float32(1)
    fraction = jax.lax.shift_right_logical(bits, np.uint32(9)) | one.view(np.uint32)
    return jnp.maximum(low, (jax.lax.bitcast_convert_type(fraction, jnp.float32) - one) * (high - low) + low)


def _truncated_normal(bits: jax.Array) -> jax.Array:
    """As `jax.random.truncated_normal` between -2 and 2."""
    bound, sqrt2 = np.float32(2), np.float32(np.sqrt(2))
    low, high = jax.lax.erf(-bound / sqrt2), jax.lax.erf(bound / sqrt2)
    inside = np.nextafter(bound, np.float32(0))
    return jnp.clip(sqrt2 * jax.lax.erf_inv(_uniform(bits, low, high)), -inside, inside)


def _fans(shape: tuple[int, ...]) -> tuple[int, int]:
    """Inputs and outputs of a unit of a layer with a kernel of this shape."""
    window = math.prod(shape[:-2])
    return shape[-2] * window, shape[-1] * window


def _xavier_scale(fan_in: int, fan_out: int) -> np.float32:
    return np.sqrt(np.float32(3) * np.float32(1 / ((fan_in + fan_out) / 2)))


def _he_scale(fan_in: int, _: int) -> np.float32:
    return np.sqrt(np.float32(2 / fan_in)) / np.float32(0.87962566103423978)  # of what is cut off at 2


# What `build_model` takes from `flax.linen.initializers` by these names: a draw times a factor.
_INITIALIZERS: dict[str, tuple[Callable[[jax.Array], jax.Array], Callable[[int, int], np.float32]]] = {
    "xavier": (lambda bits: _uniform(bits, np.float32(-1), np.float32(1)), _xavier_scale),
    "he": (_truncated_normal, _he_scale),
}
