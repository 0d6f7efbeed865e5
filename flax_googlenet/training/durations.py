"""Durations in steps, epochs or examples, and the timetable of a run that follows from them."""

import dataclasses
import math

from ml_collections import FrozenConfigDict

from flax_googlenet.config.kinds import parse_duration
from flax_googlenet.errors import UserError

MAX_STEPS = 2**31 - 1  # the state counts steps in an int32


def to_steps(duration: str, *, batch_size: int, epoch_size: int) -> int:
    """Return the number of optimizer steps in a duration, rounded up.

    Args:
      duration: a number and its unit: steps, epochs or examples.
      batch_size: number of examples in a step.
      epoch_size: number of examples in an epoch.

    Raises:
      UserError: if the string is not a duration, or is longer than a run can be.

    >>> to_steps("60 epochs", batch_size=32, epoch_size=4000)
    7500
    >>> to_steps("1e4 examples", batch_size=64, epoch_size=4000)
    157
    """
    try:
        amount, unit = parse_duration(duration)
    except ValueError as error:
        raise UserError(str(error)) from None
    examples_per_unit = {"step": batch_size, "epoch": epoch_size, "example": 1}[unit]
    steps = round(amount * examples_per_unit / batch_size, 6)
    if steps > MAX_STEPS:
        raise UserError(f'"{duration}" is more than {MAX_STEPS} steps; make it shorter.')
    return math.ceil(steps)


@dataclasses.dataclass(frozen=True)
class Timetable:
    """The steps at which a run reports, evaluates and saves. The last step is always one of them.

    Attributes:
      total: length of the run.
      report_every, evaluate_every, save_every: steps between two reports, and so on; 0 for only
        at the end.
      warmup: length of the warm-up.
      averaging_start: step at which the average of the weights starts.
    """

    total: int
    report_every: int
    evaluate_every: int
    save_every: int
    warmup: int
    averaging_start: int

    def reports(self, step: int) -> bool:
        """Return whether to report after a step.

        Every checkpoint follows a report: a resumed run would not know the steps in between.
        """
        return self.saves(step) or self._is_due(step, self.report_every)

    def evaluates(self, step: int) -> bool:
        """Return whether to evaluate after a step."""
        return self._is_due(step, self.evaluate_every)

    def saves(self, step: int) -> bool:
        """Return whether to save a checkpoint after a step."""
        return self._is_due(step, self.save_every)

    def _is_due(self, step: int, every: int) -> bool:
        return step == self.total or bool(every and step % every == 0)


def make_timetable(config: FrozenConfigDict, epoch_size: int) -> Timetable:
    """Convert the durations of a resolved config to steps.

    Args:
      config: a resolved config.
      epoch_size: number of examples in an epoch.

    Raises:
      UserError: if the run is shorter than a step.
    """

    def steps(duration: str) -> int:
        return to_steps(duration, batch_size=config.batch_size, epoch_size=epoch_size)

    timetable = Timetable(
        total=steps(config.duration),
        report_every=max(steps(config.log_every), 1),
        evaluate_every=steps(config.evaluation.every),
        save_every=steps(config.checkpoint.every),
        warmup=steps(config.schedule.warmup),
        averaging_start=steps(config.averaging.start),
    )
    if timetable.total < 1:
        raise UserError(f'config.duration "{config.duration}" is less than one step; make it longer.')
    return timetable
