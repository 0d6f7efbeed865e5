"""Averaged weights, and the batch statistics that belong to them.

The running statistics of a run fit its latest weights, not their average. Early in a run on the
digits, averaged weights reach 10 % accuracy with the running statistics and 55 % with their own
(docs/averaging.md). An average of the running statistics does not fit either. The statistics of
averaged weights are therefore measured on batches of the training split, as in Izmailov et al.
2018, "Averaging weights leads to wider optima and better generalization", section 3.2.
"""

import contextlib
from collections.abc import Callable

import jax
import jax.numpy as jnp
import numpy as np
from flax import linen as nn
from jax.sharding import Mesh
from jaxtyping import Array, Int, PyTree, UInt32
from ml_collections import FrozenConfigDict

from flax_googlenet.data import Source, TrainBatches, to_devices
from flax_googlenet.distributed import compiled_together, preemption
from flax_googlenet.models.layers import LayerOptions
from flax_googlenet.runtime import compilation
from flax_googlenet.sharding import put_copies, put_everywhere, replicate, split_batch
from flax_googlenet.training.forward import apply_in_training, augment_batch
from flax_googlenet.training.parameter_groups import frozen_statistics

# The number matters little: at the point where they differed most, ten batches of 32 images gave an
# accuracy of 77.5 %, and fifty gave 79.6 %.
STATISTICS_BATCHES = 32


def average(averaging: FrozenConfigDict, averaged: PyTree, params: PyTree, age: Int[Array, ""]) -> PyTree:
    """Return the next average of the parameters.

    With t = age, the average a of the parameters p becomes a + rate * (p - a), where

    * polyak: rate = 1 / (t + 1), for the plain mean of all p since the start (Polyak & Juditsky 1992)
    * ema: rate = max(1 - decay, 1 / (t + 1)), for an exponential mean without a bias to its start

    Before the start, at a negative age, the average equals p.

    Args:
      averaging: the section `averaging` of a resolved config.
      averaged: the last average; {} without averaging.
      params: the parameters after a step.
      age: number of steps since the average started.
    """
    if averaging.kind == "none":
        return averaged
    uniform = 1.0 / (jnp.maximum(age, 0) + 1).astype(jnp.float32)
    rate = uniform if averaging.kind == "polyak" else jnp.maximum(uniform, 1.0 - averaging.decay)
    return jax.tree.map(lambda a, p: a + rate * (p - a), averaged, params)


def make_statistics(
    config: FrozenConfigDict, model: nn.Module, source: Source, mesh: Mesh
) -> Callable[[PyTree, PyTree], PyTree]:
    """Make a function that measures the batch statistics of parameters.

    The statistics are means over the first `STATISTICS_BATCHES` training batches, augmented as in
    training, so they depend only on the parameters and the config's seed. Frozen normalizations
    keep their running statistics.

    Args:
      config: a resolved config.
      model: the network.
      source: the training split.
      mesh: devices to run on.

    Returns:
      A function that takes parameters and the run's "batch_stats" and returns statistics of the
      same structure.
    """
    root_key = jax.random.key(config.seed)
    freeze = config.optimizer.freeze
    everywhere, split = replicate(mesh), split_batch(mesh)
    # As many images as the normalization sees at once in training.
    batches = TrainBatches(source, config.data, config.seed, config.batch_size // config.optimizer.accumulate)

    def add(
        total: PyTree, params: PyTree, running: PyTree, batch: dict[str, Array], key: UInt32[Array, " words"]
    ) -> PyTree:
        images, _, dropout_key = augment_batch(batch, jax.random.wrap_key_data(key), config)
        frozen = frozen_statistics(running, freeze)
        # An update from zero is (1 - momentum) times the statistics of the batch.
        before = jax.tree.map(lambda keep, x: x if keep else jnp.zeros_like(x), frozen, running)
        _, updated = apply_in_training(model, params, before, images, dropout_key, freeze)
        scale = 1 / ((1 - LayerOptions.batch_norm_momentum) * STATISTICS_BATCHES)
        return jax.tree.map(
            lambda keep, old, x, new: old if keep else x + scale * new,
            frozen,
            running,
            total,
            updated,
        )

    add = compiled_together(
        compilation.jit(
            add,
            in_shardings=(everywhere, everywhere, everywhere, split, everywhere),
            out_shardings=everywhere,
            donate_argnums=0,
        )
    )

    def measure(params: PyTree, running: PyTree) -> PyTree:
        total = put_copies(jax.tree.map(lambda x: np.zeros(x.shape, x.dtype), running), everywhere)
        steps = range(STATISTICS_BATCHES)
        with contextlib.closing(to_devices(batches, steps, split)) as stream:
            for index, batch in zip(steps, stream, strict=True):
                preemption.point()
                # An argument, so that runs with other seeds share the program.
                key = jax.random.key_data(jax.random.fold_in(root_key, index))
                total = add(total, params, running, batch, put_everywhere(key, everywhere))
        return total

    return measure
