"""What trains a row: the interface, our network, and the learning curve of either."""

import contextlib
import itertools
import sys
from typing import Any, Protocol

import numpy as np
from jax.sharding import Mesh
from ml_collections import FrozenConfigDict

from flax_googlenet.data import Source, TrainBatches, to_devices
from flax_googlenet.data.prefetch import DeviceBatch
from flax_googlenet.sharding import replicate, split_batch
from flax_googlenet.training.durations import make_timetable, to_steps
from flax_googlenet.training.setup.program import build_program
from flax_googlenet.training.state import TrainState, place_initial_state


class Contender(Protocol):
    """A network with its optimizer, which is trained with several seeds."""

    def start(self, config: FrozenConfigDict) -> None:
        """Initialize the network for the seed of a config that is otherwise that of the contender."""

    def step(self, batch: DeviceBatch) -> float:
        """Update the weights on a batch and return the loss of all heads before."""

    def evaluate(self) -> dict[str, Any]:
        """Return "top1" and "loss" on the images held out."""


class OurNetwork:
    """Our network, trained and evaluated by the project's own functions."""

    def __init__(self, config: FrozenConfigDict, train: Source, validation: Source, mesh: Mesh) -> None:
        """Build the program, which all seeds share.

        Args:
          config: a resolved config.
          train, validation: the two splits.
          mesh: the devices.
        """
        self._replicated = replicate(mesh)
        self._program = build_program(config, train, validation, make_timetable(config, len(train)), mesh)
        self._state: TrainState

    def start(self, config: FrozenConfigDict) -> None:
        """See `Contender`."""
        program = self._program
        self._state = place_initial_state(config, program.model, program.optimizer, self._replicated)

    def step(self, batch: DeviceBatch) -> float:
        """See `Contender`."""
        self._state, metrics = self._program.step(self._state, batch)
        return float(metrics["loss"])

    def evaluate(self) -> dict[str, Any]:
        """See `Contender`. Averaged weights are evaluated if the config averages, as in a run."""
        state = self._state
        params, statistics = state.params, state.batch_stats
        if state.averaged_params:
            params = state.averaged_params
            statistics = self._program.statistics(params, statistics)
        return self._program.evaluator([{"params": params, "batch_stats": statistics}])


def learning_curve(
    contender: Contender, config: FrozenConfigDict, train: Source, mesh: Mesh, label: str
) -> list[dict[str, float]]:
    """Train a contender and evaluate it after every epoch.

    Args:
      contender: the contender.
      config: its resolved config, with the seed.
      train: the training split.
      mesh: the devices.
      label: names the trial on stderr.

    Returns:
      For each epoch its number, the number of steps so far, the mean training loss since the last
      evaluation, and "top1" and "loss" on the images held out.
    """
    contender.start(config)
    total = make_timetable(config, len(train)).total
    sizes = {"batch_size": config.batch_size, "epoch_size": len(train)}
    ends = itertools.takewhile(
        lambda step: step <= total, (to_steps(f"{n} epochs", **sizes) for n in itertools.count(1))
    )
    last_of_epoch = {step: epoch for epoch, step in enumerate(ends, start=1)}
    batches = TrainBatches(train, config.data, config.seed, config.batch_size)
    curve: list[dict[str, float]] = []
    losses: list[float] = []
    with contextlib.closing(to_devices(batches, range(total), split_batch(mesh))) as on_device:
        for step, batch in enumerate(on_device, start=1):
            losses.append(contender.step(batch))
            if step not in last_of_epoch:
                continue
            figures = contender.evaluate()
            curve.append(
                {
                    "epoch": last_of_epoch[step],
                    "step": step,
                    "train_loss": float(np.mean(losses)),
                    "top1": figures["top1"],
                    "loss": figures["loss"],
                }
            )
            losses.clear()
            print(
                f"{label}, epoch {curve[-1]['epoch']}: training loss {curve[-1]['train_loss']:.3f}, "
                f"top-1 {curve[-1]['top1']:.1%}, loss {curve[-1]['loss']:.3f}",
                file=sys.stderr,
            )
    return curve
