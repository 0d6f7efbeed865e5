import pytest

from flax_googlenet.training.reporting.clock import Clock


def test_time_while_stopped_does_not_count():
    seconds = [0.0]
    clock = Clock(now=lambda: seconds[0])
    clock.count(32, waited=1.0)  # the compilation, before the start
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
