"""What a run computes: its network, and the functions that train and evaluate it."""

import dataclasses
from typing import Any

import jax
import optax
from flax import linen as nn
from jax.sharding import Mesh
from ml_collections import FrozenConfigDict

from flax_googlenet.data import Source
from flax_googlenet.evaluation import Evaluator, Member
from flax_googlenet.models import build_model
from flax_googlenet.training.averaging import make_statistics
from flax_googlenet.training.durations import Timetable
from flax_googlenet.training.optimizer import build_optimizer, build_schedule
from flax_googlenet.training.parameter_groups import check_patterns
from flax_googlenet.training.state import TrainState, initial_state
from flax_googlenet.training.step import make_train_step


@dataclasses.dataclass(frozen=True)
class Program:
    """The functions of a run on the devices of a mesh.

    Attributes:
      model: the network.
      optimizer: the optimizer.
      state_shapes: shapes and dtypes of the state.
      step: the training step, as `make_train_step` makes it.
      statistics: the function that measures batch statistics, as `make_statistics` makes it.
      evaluator: the evaluation on the validation split.
    """

    model: nn.Module
    optimizer: optax.GradientTransformation
    state_shapes: TrainState
    step: Any
    statistics: Any
    evaluator: Evaluator


def build_program(
    config: FrozenConfigDict, source: Source, validation: Source, timetable: Timetable, mesh: Mesh
) -> Program:
    """Build the program of a run.

    Args:
      config: the resolved config.
      source: the training split.
      validation: the validation split.
      timetable: when the run ends, and when its averages start.
      mesh: the devices.

    Raises:
      UserError: if the config has patterns that match no parameter.
    """
    model = build_model(config.model)
    schedule = build_schedule(config, total_steps=timetable.total, epoch_size=len(source))
    optimizer = build_optimizer(config.optimizer, schedule)
    shapes = jax.eval_shape(lambda: initial_state(config, model, optimizer))
    check_patterns(config.optimizer, shapes.params)
    return Program(
        model,
        optimizer,
        shapes,
        step=make_train_step(config, model, optimizer, schedule, mesh, timetable.averaging_start),
        statistics=make_statistics(config, model, source, mesh),
        evaluator=Evaluator(
            [Member(model, config.data)], validation, mesh, batch_size=config.evaluation.batch_size
        ),
    )
