"""The state that a run starts with, on its devices."""

import dataclasses

import optax
from flax import linen as nn
from jax.sharding import NamedSharding
from ml_collections import FrozenConfigDict

from flax_googlenet.models.initialization import draw_kernels, fill_constants, without_kernels
from flax_googlenet.sharding import put_copies
from flax_googlenet.training.state import TrainState, initial_state


def place_initial_state(
    config: FrozenConfigDict,
    model: nn.Module,
    optimizer: optax.GradientTransformation,
    sharding: NamedSharding,
) -> TrainState:
    """Put what `initial_state` gives on the devices, to the bit, without compiling all of it.

    Args:
      config: a resolved config.
      model: built from it.
      optimizer: built from it; its state must start as constants, as that of SGD does.
      sharding: of every array; replicated.
    """
    state = fill_constants(lambda: initial_state(config, without_kernels(model), optimizer))
    params = draw_kernels(state.params, config.model.initializer, config.seed)
    averaged = params if state.averaged_params else {}
    placed: TrainState = put_copies(
        dataclasses.replace(state, params=params, averaged_params=averaged), sharding
    )
    return placed
