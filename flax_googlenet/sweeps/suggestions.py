"""The values that the trials of a search try: Optuna's TPE sampler and its median pruner.

Optuna keeps nothing on disk. What it suggests for a trial is a function of the seed, the number of the trial
and the trials before it, which the records of the search hold. A search that was stopped tells Optuna of its
trials again, and goes on with the suggestions that it would have had.
"""

from collections.abc import Mapping
from typing import Any

import numpy as np

from flax_googlenet.config.kinds import Whole, literal
from flax_googlenet.config.schema import KEYS
from flax_googlenet.sweeps.space import Choice, Domain


class Trial:
    """A trial that is under way.

    Attributes:
      values: the values of the keys, by their full names.
      evaluations: the top-1 accuracy at each step that has been evaluated.
    """

    def __init__(self, trial: Any, values: Mapping[str, Any]) -> None:
        """Begin a trial of Optuna with these values."""
        self._trial, self.values = trial, values
        self.evaluations: dict[int, float] = {}

    def report(self, step: int, top1: float) -> None:
        """Report an evaluation. What is reported of a step first counts."""
        if step not in self.evaluations:
            self.evaluations[step] = top1
            self._trial.report(top1, step)

    def is_hopeless(self) -> bool:
        """Return whether no evaluation is as good as the median of the complete trials at the last step."""
        return bool(self._trial.should_prune())


class Suggestions:
    """The trials of a search, one after the other."""

    def __init__(self, space: Mapping[str, Domain], seed: int) -> None:
        """Begin with no trial.

        Args:
          space: the values of each key, checked.
          seed: seed of the search.
        """
        import optuna

        optuna.logging.set_verbosity(optuna.logging.WARNING)  # the search itself says what it does
        self._space, self._seed, self._number = space, seed, 0
        self._study = optuna.create_study(direction="maximize", pruner=optuna.pruners.MedianPruner())
        self._distributions = {key: _distribution(key, domain) for key, domain in space.items()}

    def next(self, values: Mapping[str, Any] | None = None) -> Trial:
        """Return the next trial.

        Args:
          values: its values; None for those that Optuna suggests.
        """
        import optuna

        if values is not None:
            self._study.enqueue_trial({key: self._inside(key, value) for key, value in values.items()})
        state = np.random.SeedSequence([self._seed, self._number]).generate_state(1)
        self._study.sampler = optuna.samplers.TPESampler(seed=int(state[0]))
        self._number += 1
        trial = self._study.ask(self._distributions)
        return Trial(trial, {key: self._outside(key, value) for key, value in trial.params.items()})

    def complete(self, trial: Trial, top1: float) -> None:
        """End a trial that was trained to the end."""
        self._study.tell(trial._trial, top1)

    def give_up(self, trial: Trial) -> None:
        """End a trial that was pruned or failed, which counts as worse than all that are complete."""
        import optuna

        self._study.tell(trial._trial, state=optuna.trial.TrialState.PRUNED)

    def _inside(self, key: str, value: Any) -> Any:
        """Return a value as Optuna has it, whose choices are texts, since they cannot be tuples."""
        value = KEYS[key].check(value)  # a record has lists in place of tuples
        return literal(value) if isinstance(self._space[key], Choice) else value

    def _outside(self, key: str, value: Any) -> Any:
        domain = self._space[key]
        if isinstance(domain, Choice):
            return next(choice for choice in domain.values if literal(choice) == value)
        return value


def _distribution(key: str, domain: Domain) -> Any:
    from optuna import distributions

    if isinstance(domain, Choice):
        return distributions.CategoricalDistribution([literal(value) for value in domain.values])
    if isinstance(KEYS[key].kind, Whole):
        return distributions.IntDistribution(int(domain.low), int(domain.high), log=domain.log)
    return distributions.FloatDistribution(domain.low, domain.high, log=domain.log)
