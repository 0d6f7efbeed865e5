"""Runs that are preempted at chosen points and resumed, compared with one that was not."""

import dataclasses
import time

import jax
import numpy as np
import pytest
from jax.experimental.compilation_cache import compilation_cache

from flax_googlenet import Preempted, checkpoints
from flax_googlenet.checkpoints.arrays import restore_item
from flax_googlenet.checkpoints.integrity import ITEMS
from flax_googlenet.distributed import preemption
from flax_googlenet.models import GoogLeNet
from flax_googlenet.training import train
from flax_googlenet.training.reporting.reporter import TIMINGS
from flax_googlenet.training.setup import program
from tests.support.commands import read_metrics
from tests.training.test_loop import config_of, write_data

pytestmark = pytest.mark.slow

PATIENCE = 60

SPEEDS = ("images_per_second", "goodput")  # in the result

# An epoch has three steps, 32 batches that measure statistics, and two that evaluate.
STATISTICS, EVALUATION = 32, 2


@pytest.fixture(autouse=True)
def small_networks(monkeypatch, small_table):
    small = GoogLeNet(num_classes=3, normalization="batch", table=small_table, dropout=0.0)
    monkeypatch.setattr(program, "build_model", lambda _: small)


@pytest.fixture(autouse=True)
def compiled_once(tmp_path_factory):
    """Keep compiled programs, since every run of the small network would compile the same ones."""
    settings = {
        "jax_compilation_cache_dir": str(tmp_path_factory.getbasetemp() / "compiled-for-preemption"),
        "jax_persistent_cache_min_compile_time_secs": 0.0,
    }
    before = {name: getattr(jax.config, name) for name in settings}
    for values in (settings, before):
        for name, value in values.items():
            jax.config.update(name, value)
        compilation_cache.reset_cache()
        if values is settings:
            yield


@pytest.fixture
def give_notice_at(monkeypatch):
    """Make a function that sets how many points the next run passes before it gets a notice."""
    point, left = preemption.point, [0]

    def counted():
        if preemption._heed is not None:
            left[0] -= 1
            if left[0] < 0 and preemption._heed.stop is None:
                preemption.notice()
                end = time.monotonic() + PATIENCE
                while preemption._heed.stop is None:
                    assert time.monotonic() < end
                    time.sleep(0.001)
        point()

    monkeypatch.setattr(preemption, "point", counted)
    return lambda points: left.__setitem__(0, points)


def arrays_of(checkpoint):
    return {item: restore_item(checkpoint, item) for item in ITEMS if item != "description"}


def without_speeds(record):
    return {name: value for name, value in record.items() if name not in (*TIMINGS, *SPEEDS)}


def test_a_run_that_is_preempted_again_and_again_gives_the_same_bits(tmp_path, give_notice_at):
    config = config_of(
        write_data(tmp_path / "data"),
        model={"normalization": "batch"},
        averaging={"kind": "polyak"},
        log_every="2 steps",
        checkpoint={"every": "3 steps", "keep_last": 5, "keep_best": 1},
    )
    never, often = tmp_path / "never", tmp_path / "often"
    give_notice_at(1000)
    expected = train(config, never)

    last = STATISTICS + EVALUATION
    for points, step, unreported, unevaluated in (
        (0, 0, None, None),  # before the first step; nothing is saved
        (1, 1, 1, False),  # between two reports
        (2 + 10, 3, 0, True),  # while the statistics of step 3 are measured
        (STATISTICS + 1, 3, 0, True),  # in the evaluation of step 3
        (last, 3, 0, False),  # after that evaluation, which completes the checkpoint of step 3
        (2, 5, 1, False),
        (1 + STATISTICS, 6, 0, True),  # in the last evaluation
    ):
        give_notice_at(points)
        with pytest.raises(Preempted) as caught:
            train(config, often)
        assert caught.value.step == step
        if step:
            recorded = checkpoints.describe(checkpoints.find(often))
            assert caught.value.checkpoint == str(often / "checkpoints" / str(step))
            assert (recorded.step, len(recorded.unreported), recorded.unevaluated) == (
                step,
                unreported,
                unevaluated,
            )
            checkpoints.verify_digests(checkpoints.find(often))
    give_notice_at(1000)
    result = train(config, often)
    assert without_speeds(result) == without_speeds(expected) | {"checkpoint": str(often / "checkpoints/6")}

    jax.tree.map(np.testing.assert_array_equal, *(arrays_of(run / "checkpoints/6") for run in (often, never)))
    assert [*map(without_speeds, read_metrics(often))] == [*map(without_speeds, read_metrics(never))]
    for step in (3, 6):
        metrics = [(run / f"checkpoints/{step}/metrics/metrics").read_text() for run in (often, never)]
        assert metrics[0] == metrics[1], "the checkpoint was saved again with the figures"
    assert not list((often / "checkpoints").glob("replaced-*"))


def test_a_replacement_that_was_killed_is_undone(tmp_path, give_notice_at):
    config = config_of(write_data(tmp_path / "data"), evaluation={"every": "3 steps", "batch_size": 8})
    workdir = tmp_path / "run"
    give_notice_at(3)  # in the evaluation of step 3
    with pytest.raises(Preempted):
        train(config, workdir)
    checkpoint = workdir / "checkpoints/3"
    assert checkpoints.describe(checkpoint).unevaluated
    # As if the process had been killed after it had renamed the old checkpoint.
    checkpoint.rename(workdir / "checkpoints/replaced-3")
    assert checkpoints.find_latest(workdir) is None
    give_notice_at(2)  # after that evaluation
    with pytest.raises(Preempted) as caught:
        train(config, workdir)
    assert caught.value.step == 3
    assert dataclasses.replace(checkpoints.describe(checkpoint), history=()).unevaluated is False
    assert sorted(path.name for path in (workdir / "checkpoints").iterdir()) == ["3"]


@pytest.mark.parametrize("minutes", [0.0, 1e-6])
def test_a_run_saves_by_the_clock(tmp_path, minutes):
    every = {"every": "0 steps", "every_minutes": minutes, "keep_last": 10}
    config = config_of(write_data(tmp_path / "data"), log_every="2 steps", checkpoint=every)
    train(config, tmp_path / "run")
    saved = sorted(int(path.name) for path in (tmp_path / "run/checkpoints").iterdir())
    assert saved == ([2, 4, 6] if minutes else [6])
