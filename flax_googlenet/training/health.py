"""Signs that a run is failing, reported while there is time to react."""

import collections
import math
from collections.abc import Callable, Mapping, Sequence

from flax_googlenet.errors import UserError

# A head is stuck when it is at chance level for this many reports in a row.
PATIENCE = 3
TOLERANCE = 0.01  # relative distance from ln(classes)


class StuckHeads:
    """A detector of heads that learn nothing: their loss stays at ln(classes), as for random guesses."""

    def __init__(self, num_classes: int, warmup_steps: int) -> None:
        """Watch the heads of a network from the end of the warm-up on."""
        self._chance = math.log(num_classes)
        self._warmup_steps = warmup_steps
        self._reports_at_chance: collections.Counter[str] = collections.Counter()

    def warnings(self, step: int, figures: Mapping[str, int | float]) -> list[str]:
        """Return a sentence for every head that turns out to be stuck, once per head.

        Args:
          step: number of updates made.
          figures: means since the last report, with "loss_HEAD" for each head.
        """
        if step <= self._warmup_steps:
            return []
        warnings = []
        for name, loss in figures.items():
            if not name.startswith("loss_"):
                continue
            is_at_chance = abs(loss - self._chance) < TOLERANCE * self._chance
            self._reports_at_chance[name] = self._reports_at_chance[name] + 1 if is_at_chance else 0
            if self._reports_at_chance[name] == PATIENCE:
                head = name.removeprefix("loss_")
                warnings.append(
                    f'head "{head}" has learned nothing by step {step}: its loss is {loss:.3f}, which is '
                    "ln(classes); if it stays there, try initializer=he or normalization=batch"
                )
        return warnings


def check_finite(
    name: str, values: Sequence[float], first_step: int, last_checkpoint: Callable[[], str | None]
) -> None:
    """Stop a run whose loss or gradient is infinite or NaN.

    Args:
      name: name of the quantity, such as "gradient_norm".
      values: its values at consecutive steps.
      first_step: step of the first value.
      last_checkpoint: returns the directory of the last checkpoint, if there is one.

    Raises:
      UserError: if a value is infinite or NaN; names the step and the last checkpoint.
    """
    for step, value in enumerate(values, start=first_step):
        if not math.isfinite(value):
            path = last_checkpoint()
            remedy = f"the last good checkpoint is {path}" if path else "there is no checkpoint yet"
            raise UserError(
                f"The {name.replace('_', ' ')} became {value} at step {step}; {remedy}; "
                "lower config.optimizer.learning_rate or set config.optimizer.clip_norm."
            )
