"""What a run saves, and when it does so by the clock."""

import dataclasses
import time
from collections.abc import Mapping, Sequence
from typing import Any

import jax.numpy as jnp

from flax_googlenet.checkpoints import Checkpoints, Description
from flax_googlenet.distributed import broadcast
from flax_googlenet.training.setup.workdir import Workdir
from flax_googlenet.training.state import TrainState
from flax_googlenet.training.step import Metrics


class Saver:
    """Saves the states of a run.

    Attributes:
      last: the last step of which there is a checkpoint; None before the first one.
      run: what the descriptions of all checkpoints have in common.
    """

    def __init__(
        self,
        workdir: Workdir,
        checkpoints: Checkpoints,
        run: Description,
        *,
        last: int | None,
        every_minutes: float,
    ) -> None:
        """Start the clock.

        Args:
          workdir: the directory of the run.
          checkpoints: the checkpoints of the run.
          run: what the descriptions of all its checkpoints have in common.
          last: the step of the checkpoint from which the run resumes; None for a new run.
          every_minutes: minutes between two saves by the clock; 0 for none.
        """
        self.last = last
        self._workdir, self._checkpoints, self.run = workdir, checkpoints, run
        self._seconds = 60 * every_minutes
        self._saved_at = time.monotonic()

    def is_overdue(self) -> bool:
        """Return whether the last save is `every_minutes` ago. The first process decides for all."""
        if not self._seconds:
            return False
        overdue = time.monotonic() - self._saved_at >= self._seconds
        return broadcast("decision to save", str(overdue)) == str(True)

    def save(self, step: int, state: TrainState, figures: Mapping[str, Any], **description: Any) -> None:
        """Save a state, in the background unless `checkpoint.in_background` is off.

        Args:
          step: the number of updates made.
          state: the state after them.
          figures: those of the evaluation at this step, if there was one.
          description: the other fields of the checkpoint's description.

        Raises:
          UserError: if the checkpoint, or the one before it, cannot be written.
        """
        self._workdir.check()
        self._checkpoints.save(
            step,
            weights=state.weights(),
            optimizer=state.optimizer(),
            description=dataclasses.replace(self.run, step=step, **description),
            metrics=figures,
        )
        self.last, self._saved_at = step, time.monotonic()


def to_json(metrics: Sequence[Mapping[str, Any]]) -> list[dict[str, int | float]]:
    """Return the metrics of steps, as the training step computes them, as Python's numbers."""
    return [{name: value.item() for name, value in step.items()} for step in metrics]


def from_json(metrics: Sequence[Mapping[str, int | float]]) -> list[Metrics]:
    """Return metrics from `to_json` with the dtypes of the training step, to compute the same means.

    >>> from_json([{"loss": 0.5, "bad_images": 1}])
    [{'loss': Array(0.5, dtype=float32), 'bad_images': Array(1, dtype=int32)}]
    """
    dtypes = {float: jnp.float32, int: jnp.int32}
    return [
        {name: jnp.asarray(value, dtypes[type(value)]) for name, value in step.items()} for step in metrics
    ]
