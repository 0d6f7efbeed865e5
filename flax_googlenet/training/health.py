"""Signs that a run is failing, told while it can still be helped."""

import collections
import math
from collections.abc import Callable, Mapping, Sequence

from flax_googlenet.errors import UserError

# A head at chance level for this many reports in a row "sits" there.
PATIENCE = 3
TOLERANCE = 0.01  # relative distance from ln(classes)


class StuckHeads:
    """Watches for heads that have learned nothing: cross-entropy ln(classes) is a guess."""

    def __init__(self, num_classes: int, warmup_steps: int) -> None:
        self._chance = math.log(num_classes)
        self._warmup_steps = warmup_steps
        self._reports: collections.Counter[str] = collections.Counter()

    def warnings(self, step: int, figures: Mapping[str, float]) -> list[str]:
        """A sentence for each head that has just been found stuck, once."""
        if step <= self._warmup_steps:
            return []
        found = []
        for name, loss in figures.items():
            if not name.startswith("loss_"):
                continue
            near = abs(loss - self._chance) < TOLERANCE * self._chance
            self._reports[name] = self._reports[name] + 1 if near else 0
            if self._reports[name] == PATIENCE:
                head = name.removeprefix("loss_")
                found.append(
                    f'warning: head "{head}" sits at chance at step {step}: its loss is {loss:.3f}, which is '
                    "ln(classes); should it stay there, try initializer=he or normalization=batch."
                )
        return found


def check_finite(
    name: str, values: Sequence[float], first_step: int, last_checkpoint: Callable[[], str | None]
) -> None:
    """Stop a run whose loss, or gradient, is not a number.

    Args:
      name: of what is looked at.
      values: of consecutive steps.
      first_step: the step that the first of them is of.
      last_checkpoint: gives the directory of the last good one, if there is any.

    Raises:
      UserError: a value is infinite or not a number; it names the step and the way back.
    """
    for offset, value in enumerate(values):
        if not math.isfinite(value):
            path = last_checkpoint()
            good = f"the last good checkpoint is {path}" if path else "there is no checkpoint yet"
            raise UserError(
                f"The {name.replace('_', ' ')} became {value} at step {first_step + offset}; {good}; "
                "lower config.optimizer.learning_rate or set config.optimizer.clip_norm."
            )
