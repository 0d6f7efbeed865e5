"""Lengths of time in training, in the units that people think in."""

import math
import re

from flax_googlenet.errors import UserError

_PATTERN = re.compile(r"\s*([0-9.]+(?:[eE][+-]?[0-9]+)?)\s+(step|epoch|example)s?\s*")


def to_steps(duration: str, *, batch_size: int, epoch_size: int) -> int:
    """Number of optimizer steps in a duration, rounded up.

    Args:
      duration: a number and its unit: steps, epochs or examples.
      batch_size: examples in a step.
      epoch_size: examples in an epoch.

    Raises:
      UserError: the string is not a duration.

    >>> to_steps("60 epochs", batch_size=32, epoch_size=4000)
    7500
    >>> to_steps("1e4 examples", batch_size=64, epoch_size=4000)
    157
    """
    match = _PATTERN.fullmatch(duration)
    try:
        amount = float(match[1]) if match else math.nan
    except ValueError:
        amount = math.nan
    if match is None or math.isnan(amount):
        raise UserError(f'"{duration}" is not a duration; write it like "10 epochs" or "500 steps".')
    examples_per_unit = {"step": batch_size, "epoch": epoch_size, "example": 1}[match[2]]
    return math.ceil(round(amount * examples_per_unit / batch_size, 6))
