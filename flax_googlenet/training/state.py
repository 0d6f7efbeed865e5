"""All that a training run is at a step, in one frozen dataclass."""

from typing import Any

import flax.struct
import jax
import jax.numpy as jnp
import optax
from flax import linen as nn
from ml_collections import FrozenConfigDict


@flax.struct.dataclass
class TrainState:
    """State of a run. Randomness is not in it: it is `fold_in(root_key, step)`.

    Attributes:
      step: number of updates made, int32 scalar.
      params: float32 parameters.
      batch_stats: running statistics of batch normalisation; {} without it.
      opt_state: Optax's.
      averaged_params: average of the parameters over steps; {} if not asked for.
    """

    step: jax.Array
    params: Any
    batch_stats: Any
    opt_state: Any
    averaged_params: Any

    def evaluation_variables(self) -> dict[str, Any]:
        """What to evaluate: the averaged parameters if there are any."""
        return {"params": self.averaged_params or self.params, "batch_stats": self.batch_stats}

    def weights(self) -> dict[str, Any]:
        """What a checkpoint keeps as `weights`."""
        return {
            "params": self.params,
            "batch_stats": self.batch_stats,
            "averaged_params": self.averaged_params,
        }

    def optimizer(self) -> dict[str, Any]:
        """What a checkpoint keeps as `optimizer`, besides."""
        return {"opt_state": self.opt_state, "step": self.step}


def initial_state(
    config: FrozenConfigDict, model: nn.Module, optimizer: optax.GradientTransformation
) -> TrainState:
    """Fresh state: a pure function of the config, and of its seed."""
    size = config.data.image_size
    variables = model.init(jax.random.key(config.seed), jnp.zeros((1, size, size, 3), jnp.float32))
    params = variables["params"]
    return TrainState(
        step=jnp.zeros((), jnp.int32),
        params=params,
        batch_stats=variables.get("batch_stats", {}),
        opt_state=optimizer.init(params),
        averaged_params=jax.tree.map(jnp.copy, params) if config.averaging.kind != "none" else {},
    )
