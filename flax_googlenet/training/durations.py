"""Lengths of time in training, in the units that people think in."""

import math

from flax_googlenet.config.kinds import parse_duration
from flax_googlenet.errors import UserError

MAX_STEPS = 2**31 - 1  # the state counts them in an int32


def to_steps(duration: str, *, batch_size: int, epoch_size: int) -> int:
    """Number of optimizer steps in a duration, rounded up.

    Args:
      duration: a number and its unit: steps, epochs or examples.
      batch_size: examples in a step.
      epoch_size: examples in an epoch.

    Raises:
      UserError: the string is not a duration, or one that no run will last.

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
