"""The layers as the networks of this project compute them."""

import functools
from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from flax import linen as nn

from benchmarks.layers.cases import PRODUCTS, WITHOUT_PARAMETERS, Case, Operation
from benchmarks.layers.timing import Ceilings, Options, Timing, median_seconds
from flax_googlenet import ops
from flax_googlenet.models import AuxiliaryClassifier, Inception
from flax_googlenet.models.layers import LayerOptions
from flax_googlenet.runtime import compilation

Layer = Callable[..., Any]  # takes `inputs` and `params`


def measure(case: Case, options: Options) -> dict[str, Timing]:
    """Return the timing of each pass of a layer.

    Each pass is compiled on its own. A gradient starts from what the forward pass of training keeps for it.
    """
    layer, inputs, params = build(case, options)
    arguments = {"inputs": inputs, "params": params}
    forward = compilation.jit(lambda arguments: layer(**arguments))
    gradient = _random(jax.eval_shape(forward, arguments), seed=2)

    def pullback(of: tuple[str, ...]) -> Any:
        """Return the function from the gradient of the output to the gradients of some arguments."""
        free = {name: arguments[name] for name in of}

        def linearize(free: Any, arguments: Any) -> Any:
            return jax.vjp(lambda free: layer(**(arguments | free)), free)[1]

        return compilation.jit(linearize)(free, arguments)

    backward = compilation.jit(lambda pull, gradient: pull(gradient))
    return {
        name: _time(backward, (pullback(of), gradient), options)
        if of
        else _time(forward, (arguments,), options)
        for name, of in case.passes.items()
    }


def ceilings(options: Options) -> Ceilings:
    """Return what matrix products and additions of large arrays reach."""
    is_cpu = jax.default_backend() == "cpu"
    side, values = (2048, 2**25) if is_cpu else (8192, 2**28)
    dtype = jnp.dtype(options.dtype)
    x, y = (_random(jax.ShapeDtypeStruct((side, side), dtype), seed) for seed in (0, 1))
    product = compilation.jit(jnp.matmul)
    seconds = median_seconds(lambda: jax.block_until_ready(product(x, y)), options.seconds)
    a, b = (jnp.full(values, value, dtype) for value in (1, 0))
    add = compilation.jit(lambda a, b: a + 3 * b, donate_argnums=0)

    def call() -> None:
        nonlocal a
        a = jax.block_until_ready(add(a, b))

    bandwidth = 3 * a.nbytes / median_seconds(call, options.seconds)
    return Ceilings(2 * side**3 / seconds, bandwidth, jax.devices()[0].device_kind)


def _time(function: Callable[..., Any], arguments: Any, options: Options) -> Timing:
    arrays = jax.tree.leaves((arguments, function(*arguments)))
    seconds = median_seconds(lambda: jax.block_until_ready(function(*arguments)), options.seconds)
    return Timing(seconds, sum(array.nbytes for array in arrays))


def _random(shape: jax.ShapeDtypeStruct, seed: int) -> jax.Array:
    values = np.random.default_rng(seed).standard_normal(shape.shape, np.float32)
    return jnp.asarray(values, shape.dtype)


def build(case: Case, options: Options) -> tuple[Layer, jax.Array, Any]:
    """Return a layer as a function of inputs and parameters, and both."""
    dtype = jnp.dtype(options.dtype)
    shape = (options.batch_size, *(() if case.is_of_vectors else (case.side, case.side)), case.channels)
    inputs = _random(jax.ShapeDtypeStruct(shape, dtype), seed=0)
    if case.operation in WITHOUT_PARAMETERS:
        functions: dict[Operation, Any] = {
            Operation.MAX_POOL: functools.partial(
                ops.max_pool, window=case.window, stride=case.stride, padding=(case.padding,) * 2
            ),
            Operation.LRN: ops.local_response_norm,
            Operation.AVERAGE_POOL: lambda x: x.mean(axis=(1, 2)),
        }
        function = functions[case.operation]
        return lambda inputs, params: function(inputs), inputs, ()  # noqa: ARG005
    if case.operation in PRODUCTS:
        window = () if case.is_of_vectors else (case.window, case.window)
        kernel = _random(jax.ShapeDtypeStruct((*window, case.channels, case.features), dtype), seed=1)
        return functools.partial(_convolve if window else _multiply, case), inputs, kernel
    if case.operation is Operation.BATCH_NORM:
        channels = jnp.ones(case.channels), jnp.zeros(case.channels)
        return (
            lambda inputs, params: ops.batch_norm_relu(inputs, params[0], params[1], 1e-3)[0],
            inputs,
            channels,
        )
    module = _module(case, dtype)
    variables = module.init(jax.random.key(0), inputs)
    params, rest = variables["params"], {name: variables[name] for name in variables if name != "params"}

    def apply(inputs: Any, params: Any) -> Any:
        rngs = {"dropout": jax.random.key(0)}
        outputs, _ = module.apply(
            {"params": params, **rest}, inputs, train=True, rngs=rngs, mutable=["batch_stats"]
        )
        return outputs

    return apply, inputs, params


def _convolve(case: Case, inputs: jax.Array, params: jax.Array) -> jax.Array:
    return ops.convolve(inputs, params, case.stride, (case.padding, case.padding))


def _multiply(case: Case, inputs: jax.Array, params: jax.Array) -> jax.Array:
    del case
    return inputs @ params


def _module(case: Case, dtype: Any) -> nn.Module:
    layers = LayerOptions(dtype=dtype, batch_norm=case.batch_norm)
    match case.operation:
        case Operation.INCEPTION:
            names = ("conv1x1", "reduce3x3", "conv3x3", "reduce5x5", "conv5x5", "pool_proj")
            filters: Any = dict(zip(names, case.filters, strict=True))
            return Inception(**filters, third_kernel=case.window, options=layers)
        case Operation.AUXILIARY:
            return AuxiliaryClassifier(case.features, options=layers)
    raise AssertionError(case.operation)
