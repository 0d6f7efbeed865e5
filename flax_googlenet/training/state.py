"""The state of a training run, in one frozen dataclass, and its initial value."""

import dataclasses

import flax.struct
import jax
import jax.numpy as jnp
import numpy as np
import optax
from flax import linen as nn
from jax.sharding import NamedSharding
from jaxtyping import PyTree, UInt32
from ml_collections import FrozenConfigDict

from flax_googlenet.models.initialization import draw_kernels, fill_constants, without_kernels
from flax_googlenet.sharding import put_copies


@flax.struct.dataclass
class TrainState:
    """State of a run.

    The leaves are arrays, or their shapes and shardings where a state is to be restored.

    Attributes:
      step: number of updates made, an int32 scalar.
      params: float32 parameters.
      batch_stats: running statistics of batch normalization; {} without it.
      opt_state: state of the optimizer.
      averaged_params: average of the parameters over steps; {} without averaging.
      averaged_batch_stats: batch statistics of the averaged parameters, measured at the last
        evaluation or checkpoint; {} without averaging or normalization.
      root_key: data of the random key of the seed, which never changes: each step draws from
        `fold_in(root_key, step)`. As a part of the state, it lets runs that differ only in their seeds share
        a compiled program. It is no part of a checkpoint.
    """

    step: PyTree
    params: PyTree
    batch_stats: PyTree
    opt_state: PyTree
    averaged_params: PyTree
    averaged_batch_stats: PyTree
    root_key: PyTree

    def weights(self) -> dict[str, PyTree]:
        """Return the item `weights` of a checkpoint."""
        return {
            "params": self.params,
            "batch_stats": self.batch_stats,
            "averaged_params": self.averaged_params,
            "averaged_batch_stats": self.averaged_batch_stats,
        }

    def optimizer(self) -> dict[str, PyTree]:
        """Return the item `optimizer` of a checkpoint."""
        return {"opt_state": self.opt_state, "step": self.step}


def root_key_of(seed: int) -> UInt32[np.ndarray, " words"]:
    """Return the data of `jax.random.key(seed)`, for `TrainState`."""
    with jax.ensure_compile_time_eval():
        return np.asarray(jax.random.key_data(jax.random.key(seed)))


def initial_state(
    config: FrozenConfigDict, model: nn.Module, optimizer: optax.GradientTransformation
) -> TrainState:
    """Return the state at step 0, a pure function of the config and its seed.

    Args:
      config: a resolved config.
      model: the network.
      optimizer: the optimizer.
    """
    size = config.data.image_size
    variables = model.init(jax.random.key(config.seed), jnp.zeros((1, size, size, 3), jnp.float32))
    params, batch_stats = variables["params"], variables.get("batch_stats", {})
    averages = config.averaging.kind != "none"
    return TrainState(
        step=jnp.zeros((), jnp.int32),
        params=params,
        batch_stats=batch_stats,
        opt_state=optimizer.init(params),
        averaged_params=jax.tree.map(jnp.copy, params) if averages else {},
        averaged_batch_stats=jax.tree.map(jnp.copy, batch_stats) if averages else {},
        root_key=jnp.asarray(root_key_of(config.seed)),
    )


def place_initial_state(
    config: FrozenConfigDict,
    model: nn.Module,
    optimizer: optax.GradientTransformation,
    sharding: NamedSharding,
) -> TrainState:
    """Put the state of `initial_state` on the devices, bit for bit, without compiling all of it.

    Args:
      config: a resolved config.
      model: the network.
      optimizer: the optimizer; its state must start as constants, as those of SGD, AdamW and LAMB do.
      sharding: sharding of every array; replicated.
    """
    state = fill_constants(lambda: initial_state(config, without_kernels(model), optimizer))
    params = draw_kernels(state.params, config.model.initializer, config.seed)
    averaged = params if state.averaged_params else {}
    placed: TrainState = put_copies(
        dataclasses.replace(
            state, params=params, averaged_params=averaged, root_key=root_key_of(config.seed)
        ),
        sharding,
    )
    return placed
