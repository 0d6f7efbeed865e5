import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from flax_googlenet.config import resolve
from flax_googlenet.errors import UserError
from flax_googlenet.training.durations import Timetable, make_timetable, to_steps


@pytest.mark.parametrize(
    ("duration", "steps"),
    [
        ("500 steps", 500),
        ("1 step", 1),
        ("0 steps", 0),
        ("1 epoch", 13),  # 100 examples in batches of 8
        ("8 epochs", 100),
        ("0.5 epochs", 7),
        ("80 examples", 10),
        ("81 examples", 11),
        ("1e3 examples", 125),
    ],
)
def test_units(duration, steps):
    assert to_steps(duration, batch_size=8, epoch_size=100) == steps


@pytest.mark.parametrize(
    "duration",
    ["", "10", "ten steps", "10 minutes", "1.2.3 steps", "-1 steps", "steps", "nan steps", "1e999 steps"],
)
def test_invalid_durations_are_refused(duration):
    with pytest.raises(UserError, match="is not a duration"):
        to_steps(duration, batch_size=8, epoch_size=100)


@pytest.mark.parametrize("duration", ["2147483648 steps", "1e12 epochs", "1e308 epochs"])
def test_durations_longer_than_any_run_are_refused(duration):
    with pytest.raises(UserError, match="more than 2147483647 steps"):
        to_steps(duration, batch_size=8, epoch_size=100)


@given(epochs=st.integers(1, 300), batch=st.integers(1, 4096), size=st.integers(1, 2_000_000))
def test_epochs_are_rounded_up(epochs, batch, size):
    steps = to_steps(f"{epochs} epochs", batch_size=batch, epoch_size=size)
    assert steps == math.ceil(epochs * size / batch)


def test_a_timetable_reports_before_every_checkpoint_and_ends_with_everything():
    timetable = Timetable(
        total=10, report_every=4, evaluate_every=0, save_every=3, warmup=0, averaging_start=0
    )
    steps = range(1, 11)
    assert [step for step in steps if timetable.saves(step)] == [3, 6, 9, 10]
    assert [step for step in steps if timetable.reports(step)] == [3, 4, 6, 8, 9, 10]
    assert [step for step in steps if timetable.evaluates(step)] == [10]


def test_a_timetable_converts_the_durations_of_a_config():
    config = resolve(
        {
            "batch_size": 8,
            "duration": "2 epochs",
            "log_every": "0 steps",
            "evaluation": {"every": "1 epoch"},
            "checkpoint": {"every": "80 examples"},
            "schedule": {"warmup": "3 steps"},
            "averaging": {"start": "1 epoch"},
        }
    )
    assert make_timetable(config, epoch_size=100) == Timetable(25, 1, 13, 10, 3, 13)


def test_a_run_shorter_than_a_step_is_refused():
    with pytest.raises(UserError, match=r'config\.duration "1e-9 steps" is less than one step'):
        make_timetable(resolve({"duration": "1e-9 steps"}), epoch_size=100)
