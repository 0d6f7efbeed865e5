import pytest

from flax_googlenet.training.reporting.clock import ACTIVITIES, Clock


@pytest.fixture
def seconds():
    return [0.0]


@pytest.fixture
def clock(seconds):
    return Clock(now=lambda: seconds[0])


def spent(clock) -> dict[str, float]:
    return {name: value for name, value in clock.seconds().items() if value}


def test_the_speed_counts_no_time_outside_of_steps(clock, seconds):
    clock.begin("steps")
    seconds[0] += 50
    clock.count(32, waited=1.0)  # the first step, before the speed counts
    clock.stop()
    clock.start()
    for _ in range(4):
        seconds[0] += 2
        clock.count(32, waited=0.5)
    assert clock.lap().images_per_second == pytest.approx(16)
    clock.stop()
    seconds[0] += 1000  # a checkpoint
    clock.start()
    seconds[0] += 4
    clock.count(32, waited=1.0)
    lap = clock.lap()
    assert (lap.images_per_second, lap.data_wait) == (pytest.approx(8), pytest.approx(0.25))
    overall = clock.overall()
    assert (overall.images_per_second, overall.data_wait) == (pytest.approx(160 / 12), pytest.approx(3 / 12))


def test_the_speed_without_steps_is_zero():
    clock = Clock()
    assert clock.lap().images_per_second == clock.overall().images_per_second == 0


def test_every_second_belongs_to_one_activity(clock, seconds):
    assert set(clock.seconds()) == set(ACTIVITIES)
    seconds[0] += 5
    with clock.spent("compile"):
        seconds[0] += 3
    assert spent(clock) == {"start": 5, "compile": 3}
    clock.begin("steps")
    seconds[0] += 4
    with clock.spent("save"):
        seconds[0] += 1
        with clock.spent("evaluation"):
            seconds[0] += 2
        seconds[0] += 1
    seconds[0] += 6
    clock.count(1, waited=2.0)
    assert spent(clock) == {"start": 5, "compile": 3, "steps": 8, "data": 2, "save": 2, "evaluation": 2}
    assert sum(clock.seconds().values()) == seconds[0]


def test_an_error_ends_an_activity(clock, seconds):
    with pytest.raises(OSError, match="full"), clock.spent("save"):
        raise OSError("full")
    seconds[0] += 1
    assert spent(clock) == {"start": 1}


def test_no_more_is_moved_than_the_activity_lasted(clock, seconds):
    """An abandoned thread may report what it compiled after the activity that waited for it."""
    seconds[0] += 10
    clock.begin("save")
    seconds[0] += 1
    clock.move(8.0, "compile")
    assert spent(clock) == {"start": 10, "compile": 1}


def test_the_time_before_the_clock_was_made(seconds):
    seconds[0] = 7
    assert Clock(now=lambda: seconds[0], started=3.0).seconds()["start"] == 4


def test_a_step_is_done_when_the_next_one_begins_or_the_devices_are_idle(clock):
    clock.count(1, waited=0.0)
    assert clock.steps_done == 0
    clock.count(1, waited=0.0)
    assert clock.steps_done == 1
    clock.stop()
    assert clock.steps_done == 2
