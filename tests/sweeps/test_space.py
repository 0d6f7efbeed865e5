"""The space of a search: which keys and values it may have."""

import pytest

from flax_googlenet.errors import UserError
from flax_googlenet.sweeps import Choice, Range
from flax_googlenet.sweeps.space import check_space, corners


def test_values_have_the_form_of_a_config():
    space = {
        "optimizer.learning_rate": Range(1, 2, log=True),
        "batch_size": Range(8, 64),
        "data.mean": Choice([1, 2, 3], (4, 5, 6)),
        "optimizer.nesterov": Choice(True, False),
    }
    assert check_space(space) == {
        "optimizer.learning_rate": Range(1.0, 2.0, log=True),
        "batch_size": Range(8, 64),
        "data.mean": Choice((1.0, 2.0, 3.0), (4.0, 5.0, 6.0)),
        "optimizer.nesterov": Choice(True, False),
    }


@pytest.mark.parametrize(
    ("key", "domain", "sentence"),
    [
        ("optimizer.lr", Range(1, 2), 'has no key "optimizer.lr"; did you mean "optimizer.learning_rate"?'),
        ("optimizer", Range(1, 2), '"optimizer" is a section of the config; set a key of it'),
        ("seed", Range(1, 2), "varies the seed, which would only find a lucky one; leave it out."),
        ("data.workers", Range(1, 2), "varies config.data.workers, which changes no result; leave it out."),
        (
            "loss.aux_weight",
            0.3,
            "config.loss.aux_weight is searched over 0.3; it must be a Range or a Choice.",
        ),
        ("loss.aux_weight", Range(1, 0.5), "is searched from 1.0 to 0.5; give the lower bound first."),
        ("loss.aux_weight", Range(1, 1), "is searched from 1.0 to 1.0; give the lower bound first."),
        (
            "loss.aux_weight",
            Range(0, 1, log=True),
            "from 0.0, which has no logarithm; begin above 0, or leave",
        ),
        (
            "loss.aux_weight",
            Range(-1, 1),
            "In the space of the search: config.loss.aux_weight is -1; it must be",
        ),
        (
            "optimizer.momentum",
            Range(0.5, 1),
            "config.optimizer.momentum is 1; it must be a number of at least",
        ),
        (
            "optimizer.momentum",
            Range(float("nan"), 1),
            "config.optimizer.momentum is nan; it must be a number",
        ),
        ("batch_size", Range(8.0, 16.0), "config.batch_size is 8.0; it must be a whole number of at least 1"),
        (
            "model.head",
            Range(1, 2),
            'must be "average" or "fully_connected", which has no Range; search over a',
        ),
        (
            "data.dataset",
            Range(1, 2),
            "config.data.dataset must be a string, which has no Range; search over a",
        ),
        (
            "schedule.warmup",
            Choice("1 day", "1 epoch"),
            "config.schedule.warmup is '1 day'; it must be a durat",
        ),
        ("schedule.warmup", Choice("1 epoch"), 'Choice("1 epoch"), which leaves no choice; add a value.'),
        ("model.head", Choice("average", "average"), 'is searched over "average" twice; name it once.'),
    ],
)
def test_a_mistake_is_one_sentence(key, domain, sentence):
    with pytest.raises(UserError) as error:
        check_space({key: domain})
    assert sentence in str(error.value)
    assert str(error.value).endswith((".", "?"))


def test_a_space_has_a_key():
    with pytest.raises(UserError, match="The search varies no key; give its space at least one"):
        check_space({})


def test_corners_are_all_combinations_of_bounds_and_choices():
    space = {"optimizer.momentum": Range(0.1, 0.9), "model.aux_heads": Choice(0, 1, 2)}
    found = corners(space)
    assert len(found) == 6
    assert {"optimizer.momentum": 0.9, "model.aux_heads": 1} in found
    assert len(corners(space, most=4)) == 4
