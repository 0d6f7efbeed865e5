"""A short series of signals, and the figures that are drawn from its log."""

import collections
import json

import pytest

from benchmarks.chaos.attempt import Progress
from benchmarks.chaos.outcome import without_timings
from benchmarks.chaos.plan import PHASES, SHARES, draw
from benchmarks.chaos.series import Record, Series, Setting
from benchmarks.chaos.table import chaos
from tests.support.commands import run_module


@pytest.mark.usefixtures("quick_to_compile")
@pytest.mark.slow
def test_killed_trainings_end_with_the_bits_of_one_that_was_not(tmp_path):
    out = tmp_path / "result.json"
    process = run_module(
        "benchmarks.chaos",
        *("--kills=8", "--steps=12", "--save_every=6", "--evaluate_every=12", "--in_background"),
        "--train=tests.distributed.small_train",
        *(f"--out={out}", f"--directory={tmp_path / 'runs'}"),
        timeout=3000,
    )
    assert process.returncode == 0, process.stderr
    result = json.loads(process.stdout.splitlines()[-1])
    assert json.loads(out.read_text()) == result
    assert result["survived"] == result["kills"] == 8
    assert sum(figures["count"] for figures in result["phases"].values()) == 8
    assert result["phases"]["start-up"]["count"] >= 1
    assert result["one_of_two"] >= 1
    assert result["trainings"] >= 1
    names = {"parameters", "batch statistics", "averaged parameters", "optimizer state", "metrics", "result"}
    assert names < result["identical"].keys()


@pytest.mark.parametrize("signal", SHARES)
def test_every_phase_gets_its_share_of_the_signals(signal):
    moments = draw(100, signal, seed=1)
    phases = collections.Counter(moment.phase for moment in moments)
    assert phases == {phase: round(100 * share) for phase, share in SHARES[signal].items()}
    assert sum(SHARES[signal].values()) == pytest.approx(1)
    hosts = collections.Counter(moment.hosts for moment in moments)
    assert hosts == ({2: 100} if signal == "STOP" else {1: 50, 2: 50})
    assert any(len(moment.victims) < moment.hosts for moment in moments)
    assert all(max(moment.victims) < moment.hosts for moment in moments)
    assert draw(100, signal, seed=1) == moments
    assert draw(100, signal, seed=2) != moments


LOG = (
    ("loading JAX ...", "start-up", None, 0),
    ("resuming at step 8 of 24 steps of 16 images on 2 x cpu, into run", "start-up", 8, 8),
    ("compiling the training step ...", "compilation", 8, 8),
    ("compiled the training step in 0.9 s", "steps", 8, 8),
    ("step 9/24: loss 2.5, 50.0 images/s", "steps", 8, 9),
    ("step 12/24: loss 2.4, 50.0 images/s", "evaluation", 8, 12),
    ("step 12/24: evaluated 1000 images, top1 0.1", "steps", 8, 12),
    ("stopping after step 13, 0.0 s after the notice", "steps", 8, 13),
    ("step 24/24: loss 2.3, 50.0 images/s", "evaluation", 8, 24),
)


def test_the_log_tells_phase_and_step():
    progress = Progress(evaluate_every=12)
    for line, *expected in LOG:
        progress.read(line + "\n")
        assert [progress.phase, progress.first, progress.step] == expected, line
    assert progress.seconds.keys() == {"start-up", "compilation", "steps", "evaluation"}
    assert not progress.is_complete
    progress.read("The run in run is complete.\n")
    assert progress.is_complete


def record(phase="steps", **fields):
    (moment, *_) = draw(1, "KILL", seed=0)
    return Record(moment, phase, **{"step": 12, "statuses": [], "seconds": 0.0, **fields})


@pytest.mark.parametrize(
    ("signal", "phase", "in_background", "steps"),
    [
        ("KILL", "steps", True, 8),
        ("KILL", "save", True, 16),
        ("KILL", "save", False, 8),
        ("TERM", "save", True, 0),
        ("STOP", "evaluation", True, 8),
    ],
)
def test_no_more_steps_may_be_redone_than_were_not_saved(signal, phase, in_background, steps, tmp_path):
    series = Series(Setting(signal, 24, 8, 12, 5, in_background), tmp_path)
    assert series.allowed(record(phase)) == steps


def test_timings_are_no_part_of_what_is_compared():
    figures = {"step": 3, "train/loss": 2.5, "val/top1": 0.1}
    timings = {"train/images_per_second": 9.0, "train/data_wait": 0.1}
    assert without_timings(figures | timings) == figures


def test_the_table_has_a_row_for_each_phase_that_got_signals():
    none = {
        "count": 0,
        "survived": 0,
        "steps_redone": 0,
        "most_redone": 0,
        "statuses": {},
        "most_seconds": 0.0,
    }
    steps = {**none, "count": 2, "survived": 2, "steps_redone": 9, "most_redone": 5}
    steps |= {"statuses": {"75": 1, "SIGABRT": 1}, "most_seconds": 8.25}
    result = {
        "signal": "KILL",
        "kills": 2,
        "survived": 2,
        "trainings": 1,
        "steps": 24,
        "save_every": 8,
        "in_background": True,
        "evaluate_every": 12,
        "one_of_two": 1,
        "seed": 0,
        "identical": {"parameters": "1f", "metrics": "2e"},
        "phases": dict.fromkeys(PHASES, none) | {"steps": steps},
        "all_phases": steps,
        "conditions": {
            "commit": "abc",
            "dirty": False,
            "versions": {"jax": "1"},
            "device": "2 x cpu",
            "cores": 2,
            "machine": "x86_64",
            "load_average": 0.5,
        },
    }
    table = chaos(result)
    rows = [line for line in table.splitlines() if line.startswith("| ")]
    assert rows[1:] == [
        "| steps | 2 | 2 | 9 | 5 | 75 (1x), SIGABRT (1x) | 8.2 s |",
        "| all | 2 | 2 | 9 | 5 | 75 (1x), SIGABRT (1x) | 8.2 s |",
    ]
    assert "was that of a run without signals: parameters, metrics." in table
    assert "1 signals were not survived." in chaos({**result, "survived": 1})
