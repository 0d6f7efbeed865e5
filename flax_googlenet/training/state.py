"""All that a training run is at a step, in one frozen dataclass."""

from typing import Any

import flax.struct
import jax
import jax.numpy as jnp
import optax
from flax import linen as nn
from ml_collections import FrozenConfigDict

from flax_googlenet.checkpoints import evaluation_variables


@flax.struct.dataclass
class TrainState:
    """State of a run. Randomness is not in it: it is `fold_in(root_key, step)`.

    Attributes:
      step: number of updates made, int32 scalar.
      params: float32 parameters.
      batch_stats: running statistics of batch normalisation; {} without it.
      opt_state: Optax's.
      averaged_params: average of the parameters over steps; {} if not asked for.
      averaged_batch_stats: batch statistics of the averaged parameters, as measured when they
        were last evaluated or saved; {} without averaging or normalisation.
    """

    step: jax.Array
    params: Any
    batch_stats: Any
    opt_state: Any
    averaged_params: Any
    averaged_batch_stats: Any

    def evaluation_variables(self) -> dict[str, Any]:
        """Return what to evaluate: the averaged weights, if there are any."""
        return evaluation_variables(self.weights())

    def weights(self) -> dict[str, Any]:
        """What a checkpoint keeps as `weights`."""
        return {
            "params": self.params,
            "batch_stats": self.batch_stats,
            "averaged_params": self.averaged_params,
            "averaged_batch_stats": self.averaged_batch_stats,
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
    params, batch_stats = variables["params"], variables.get("batch_stats", {})
    averages = config.averaging.kind != "none"
    return TrainState(
        step=jnp.zeros((), jnp.int32),
        params=params,
        batch_stats=batch_stats,
        opt_state=optimizer.init(params),
        averaged_params=jax.tree.map(jnp.copy, params) if averages else {},
        averaged_batch_stats=jax.tree.map(jnp.copy, batch_stats) if averages else {},
    )
