"""Training until every head has left chance, or a budget of steps is spent."""

import contextlib
import dataclasses
import math
from collections.abc import Mapping, Sequence
from typing import Any

import jax
import numpy as np
from jax.sharding import Mesh
from ml_collections import FrozenConfigDict

from flax_googlenet.data import Source, TrainBatches, to_devices
from flax_googlenet.data.augmentation import normalize
from flax_googlenet.models import build_model
from flax_googlenet.sharding import put_copies, replicate, split_batch
from flax_googlenet.training.durations import make_timetable
from flax_googlenet.training.optimizer import build_optimizer, build_schedule
from flax_googlenet.training.state import place_initial_state
from flax_googlenet.training.step import make_train_step
from studies.initialization.rescaling import rescale

WINDOW = 20  # steps that a mean of the loss is taken over
LEFT = 0.8  # share of ln(classes) below which a head has clearly left chance


class Trainer:
    """The training step of a row, which all of its seeds share."""

    def __init__(
        self, config: FrozenConfigDict, source: Source, mesh: Mesh, *, rescaled: bool = False
    ) -> None:
        """Build the step.

        Args:
          config: a resolved config.
          source: the training split.
          mesh: the devices.
          rescaled: see `Row`.
        """
        total = make_timetable(config, len(source)).total
        schedule = build_schedule(config, total_steps=total, epoch_size=len(source))
        self._model = build_model(config.model)
        self._optimizer = build_optimizer(config.optimizer, schedule)
        self._step = make_train_step(config, self._model, self._optimizer, schedule, mesh, 0)
        self._source, self._mesh, self._rescaled = source, mesh, rescaled

    def run(self, config: FrozenConfigDict, budget: int) -> dict[str, Any]:
        """Train with one seed until every head has left chance, at most for `budget` steps.

        Args:
          config: the config with the seed, otherwise that of the trainer.
          budget: number of steps.

        Returns:
          What `Heads.outcome` returns.
        """
        state = place_initial_state(config, self._model, self._optimizer, replicate(self._mesh))
        batches = TrainBatches(self._source, config.data, config.seed, config.batch_size)
        if self._rescaled:
            first = batches.empty(config.batch_size)
            batches.fill(first, 0, 0)
            images = normalize(first["image"], config.data)
            params = rescale(self._model, jax.device_get(state.params), images)
            state = dataclasses.replace(state, params=put_copies(params, replicate(self._mesh)))
        heads = Heads(self._model.head_names, config.model.num_classes)
        with contextlib.closing(to_devices(batches, range(budget), split_batch(self._mesh))) as on_device:
            for batch in on_device:
                state, metrics = self._step(state, batch)
                losses = jax.device_get({name: metrics[f"loss_{name}"] for name in self._model.head_names})
                heads.add({name: float(loss) for name, loss in losses.items()})
                if heads.done:
                    break
        return heads.outcome()


class Heads:
    """The losses of the heads of a network, and when each head left chance.

    A head has left chance at the first step at which its mean loss over `WINDOW` steps is below `LEFT` times
    ln(classes), the loss of uniform guesses.

    >>> heads = Heads(["logits"], 10)
    >>> for _ in range(40):
    ...     heads.add({"logits": 2.3})
    >>> heads.done
    False
    >>> for _ in range(20):
    ...     heads.add({"logits": 1.0})
    >>> heads.done, heads.outcome()["left"]
    (True, {'logits': 48})
    """

    def __init__(self, names: Sequence[str], classes: int) -> None:
        """Begin before the first step."""
        self._losses: dict[str, list[float]] = {name: [] for name in names}
        self._left: dict[str, int | None] = dict.fromkeys(names)
        self._threshold = LEFT * math.log(classes)
        self._diverged = False

    @property
    def done(self) -> bool:
        """Whether every head has left chance, or a loss is infinite or NaN."""
        return self._diverged or None not in self._left.values()

    def add(self, losses: Mapping[str, float]) -> None:
        """Add the losses of a step by head."""
        for name, loss in losses.items():
            self._losses[name].append(loss)
            self._diverged |= not math.isfinite(loss)
            recent = self._losses[name][-WINDOW:]
            is_below = len(recent) == WINDOW and float(np.mean(recent)) < self._threshold
            if self._left[name] is None and is_below:
                self._left[name] = len(self._losses[name])

    def outcome(self) -> dict[str, Any]:
        """Return the outcome, ready for JSON.

        Returns:
          "left", the step at which each head left chance, or None; "steps", their number; "diverged", whether
          a loss was infinite or NaN; and "losses" of the main head, means of `WINDOW` steps each.
        """
        main = next(iter(self._losses.values()))
        windows = [main[start : start + WINDOW] for start in range(0, len(main), WINDOW)]
        return {
            "left": dict(self._left),
            "steps": len(main),
            "diverged": self._diverged,
            "losses": [] if self._diverged else [round(float(np.mean(window)), 4) for window in windows],
        }
