"""What Optuna suggests: repeatable, and the same whether a search was stopped or not."""

import math

import pytest

from flax_googlenet.sweeps import Choice, Range
from flax_googlenet.sweeps.space import check_space
from flax_googlenet.sweeps.suggestions import Suggestions

MOMENTUM = "optimizer.momentum"
SPACE = check_space(
    {
        "optimizer.learning_rate": Range(1e-4, 1.0, log=True),
        "batch_size": Range(8, 64),
        "data.mean": Choice((1.0, 2.0, 3.0), (4.0, 5.0, 6.0)),
        "optimizer.nesterov": Choice(True, False),
    }
)


def accuracy(values):
    """Return an accuracy that is best at a learning rate of 0.01."""
    return 1 - abs(math.log10(values["optimizer.learning_rate"]) + 2) / 4


def search(trials, seed=0, known=()):
    """Return the values of trials, of which some are known, and whether they were pruned."""
    suggestions, found = Suggestions(SPACE, seed), []
    for number in range(trials):
        trial = suggestions.next(known[number] if number < len(known) else None)
        trial.report(1, accuracy(trial.values) / 2)
        hopeless = trial.is_hopeless()
        if hopeless:
            suggestions.give_up(trial)
        else:
            suggestions.complete(trial, accuracy(trial.values))
        found.append((trial.values, hopeless))
    return found


@pytest.fixture(scope="module")
def undisturbed():
    return search(20)


def test_values_are_in_the_space(undisturbed):
    for values, _ in undisturbed:
        assert values.keys() == SPACE.keys()
        assert all(value in SPACE[key] for key, value in values.items())
        assert type(values["batch_size"]) is int


@pytest.mark.parametrize("stopped", [3, 14])  # TPE begins after ten random trials
def test_a_search_that_is_told_of_its_trials_again_goes_on_as_it_would_have(undisturbed, stopped):
    records = [{**values, "data.mean": list(values["data.mean"])} for values, _ in undisturbed[:stopped]]
    assert search(20, known=records) == undisturbed


def test_a_search_of_another_seed_is_another(undisturbed):
    assert not [values for values, _ in search(5, seed=1) if values in [known for known, _ in undisturbed]]


def test_the_sampler_learns():
    """The distance to the best value would be 0.25 on average for random values."""
    suggestions, distances = Suggestions(check_space({MOMENTUM: Range(0, 0.9)}), 0), []
    for number in range(25):
        trial = suggestions.next({MOMENTUM: 0.06 * number} if number < 15 else None)
        distances.append(abs(trial.values[MOMENTUM] - 0.3))
        suggestions.complete(trial, 1 - distances[-1])
    assert sum(distances[15:]) / 10 < 0.15


def test_the_pruner_waits_for_five_complete_trials(undisturbed):
    pruned = [number for number, (_, hopeless) in enumerate(undisturbed) if hopeless]
    assert pruned
    assert min(pruned) >= 5


def test_a_trial_that_is_given_up_counts_as_worse_than_all_others():
    def best_of_next(fails):
        suggestions = Suggestions(check_space({MOMENTUM: Range(0, 0.9)}), 0)
        for number in range(30):
            trial = suggestions.next({MOMENTUM: 0.03 * number})
            if fails(trial.values[MOMENTUM]):
                suggestions.give_up(trial)
            else:
                suggestions.complete(trial, 0.5)
        return [suggestions.next().values[MOMENTUM] for _ in range(5)]

    assert max(best_of_next(lambda momentum: momentum > 0.45)) < 0.5


def test_the_first_report_of_a_step_counts():
    trial = Suggestions(SPACE, 0).next()
    trial.report(3, 0.5)
    trial.report(3, 0.9)
    assert trial.evaluations == {3: 0.5}
