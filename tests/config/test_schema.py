"""Every key of the table: the values that it accepts and refuses, up to its bounds."""

import math

import numpy as np
import pytest

from flax_googlenet.config import DEFAULTS, flatten, resolve
from flax_googlenet.config.kinds import Choice, Color, Duration, Patterns, Rates, Real, Switch, Text, Whole
from flax_googlenet.config.schema import KEYS
from flax_googlenet.errors import UserError

# Kinds without bounds.
FREE = (Text, Switch, Patterns, Rates)

# Keys that accept every finite number.
UNBOUNDED = {"model.initial_bias", "data.mean"}

NUMBERS = [row for row in KEYS.values() if isinstance(row.kind, Whole | Real | Color)]

DURATIONS = [row for row in KEYS.values() if isinstance(row.kind, Duration)]


def by_name(row) -> str:
    return row.name


def resolved(key: str, value):
    """Return the value of a key in a resolved config that sets only this key."""
    section, _, name = key.rpartition(".")
    given = {section: {name: value}} if section else {name: value}
    return flatten(resolve(given))[key]


def as_value(row, number):
    return (number,) * 3 if isinstance(row.kind, Color) else number


@pytest.mark.parametrize("row", KEYS.values(), ids=by_name)
def test_every_key_has_choices_or_bounds_or_needs_none(row):
    assert row.help
    assert "\n" not in row.help
    assert flatten(DEFAULTS)[row.name] == row.default
    if isinstance(row.kind, Choice):
        assert row.default in row.kind.choices
    elif isinstance(row.kind, Whole | Real | Color):
        assert bool(row.kind.bounds) == (row.name not in UNBOUNDED)
    else:
        assert isinstance(row.kind, (Duration, *FREE))


@pytest.mark.parametrize("row", NUMBERS, ids=by_name)
@pytest.mark.parametrize("value", [math.nan, math.inf, -math.inf], ids=str)
def test_no_number_is_infinite_or_nan(row, value):
    with pytest.raises(UserError, match=f"^config.{row.name} is .*; it must be "):
        resolved(row.name, as_value(row, value))


def just_beyond(row, bound: float, towards: float) -> float:
    """Return the next number in the precision of the devices."""
    if isinstance(row.kind, Whole):
        return bound + int(math.copysign(1, towards))
    return float(np.nextafter(np.float32(bound), np.float32(towards)))


def bounds():
    """Yield a row, a value on or just inside one of its bounds, and one just outside."""
    for row in NUMBERS:
        for side, outwards in (("at_least", -math.inf), ("at_most", math.inf)):
            if (bound := getattr(row.kind, side)) is not None:
                yield pytest.param(row, bound, just_beyond(row, bound, outwards), id=f"{row.name} {side}")
        for side, inwards in (("above", math.inf), ("below", -math.inf)):
            if (bound := getattr(row.kind, side)) is not None:
                yield pytest.param(row, just_beyond(row, bound, inwards), bound, id=f"{row.name} {side}")


@pytest.mark.parametrize(("row", "inside", "outside"), list(bounds()))
def test_bounds(row, inside, outside):
    assert resolved(row.name, as_value(row, inside)) == as_value(row, inside)
    with pytest.raises(UserError, match=f"^config.{row.name} is .*; it must be "):
        resolved(row.name, as_value(row, outside))


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("seed", -1),
        ("data.workers", -1),
        ("data.image_size", 31),
        ("data.resize", 0),
        ("data.std", (58.0, 0.0, 57.0)),
        ("data.std", (58.0, -1.0, 57.0)),
        ("data.mean", (1.0, 2.0, math.nan)),
        ("model.dropout", 1.0),
        ("model.dropout", -0.1),
        ("model.aux_dropout", 1.5),
        ("model.batch_norm_epsilon", 0.0),
        ("loss.aux_weight", -0.3),
        ("optimizer.clip_norm", -1.0),
        ("optimizer.learning_rate", -0.01),
        ("optimizer.momentum", 1.0),
        pytest.param("optimizer.momentum", 0.99999999, id="momentum that is 1 in float32"),
        pytest.param("optimizer.learning_rate", 1e39, id="rate that is infinite in float32"),
        pytest.param("data.std", (58.0, 1e-60, 57.0), id="deviation that is 0 in float32"),
        ("optimizer.weight_decay", -2e-4),
        ("optimizer.rates", (("head/*", math.nan),)),
        ("schedule.power", -0.5),
        ("schedule.decay_rate", 0.0),
        ("averaging.decay", 1.1),
        ("averaging.decay", -0.1),
        ("checkpoint.keep_best", -1),
    ],
)
def test_a_value_out_of_range_is_refused(key, value):
    with pytest.raises(UserError, match=f"^config.{key} is .*; it must be "):
        resolved(key, value)


@pytest.mark.parametrize("row", DURATIONS, ids=by_name)
def test_durations(row):
    for wrong in (
        "",
        "10",
        "ten steps",
        "-1 steps",
        "1.2.3 steps",
        "nan steps",
        "inf steps",
        "1e999 epochs",
        3,
    ):
        with pytest.raises(UserError, match=f"^config.{row.name} is .*; it must be a duration"):
            resolved(row.name, wrong)
    assert resolved(row.name, "0.5 epochs") == "0.5 epochs"
    if row.kind.can_be_zero:
        assert resolved(row.name, "0 steps") == "0 steps"
    else:
        with pytest.raises(UserError, match=f"config.{row.name} is '0 steps'; it must be a duration above 0"):
            resolved(row.name, "0 steps")


def test_numpy_numbers_are_accepted():
    value = resolved("optimizer.learning_rate", np.float32(0.5))
    assert (value, type(value)) == (0.5, float)
    value = resolved("batch_size", np.int64(8))
    assert (value, type(value)) == (8, int)
