import doctest

import pytest

from benchmarks.harness import summary
from benchmarks.harness.summary import summarize

# The machine gets twice as slow in the second round: (wall, CPU, others' busy seconds) of each call.
ROUNDS = [
    {"ours": [(1.0, 1.5, 0.0), (3.0, 3.5, 0.4)], "peer": [(4.0, 7.0, 0.0)], "other": [(1.0, 1.0, 0.0)]},
    {"ours": [(4.0, 6.0, 0.0)], "peer": [(8.0, 9.0, 0.0), (8.0, 9.0, 0.0)], "other": [(1.0, 1.0, 0.0)]},
    {"ours": [(2.0, 2.0, -0.1)], "peer": [(5.0, 5.0, 0.1)], "other": [(1.0, 1.0, 0.0)]},
]
FACTS = {"ours": {"library": "a", "flop": 8_000_000_000}, "peer": {"library": "b"}, "other": {}}


@pytest.fixture(autouse=True)
def two_cores(monkeypatch):
    monkeypatch.setattr(summary, "cores", lambda: 2)


def test_ratios_are_those_within_a_round():
    assert summarize(FACTS, ROUNDS, [8.0] * 3)["ratios"] == {
        "peer": {"median": 2.0, "min": 2.0, "max": 2.5},
        "other": {"median": 0.5, "min": 0.25, "max": 0.5},
    }


def test_figures_are_medians_over_rounds_of_medians():
    ours = summarize(FACTS, ROUNDS, [8.0, 2.0, 16.0])["forms"]["ours"]
    assert (ours["library"], ours["seconds"], ours["cpu_seconds"]) == ("a", 2.0, 2.5)
    assert (ours["p50_seconds"], ours["p99_seconds"]) == (2.5, 3.97)
    assert ours["rounds"] == [[2.0, 2.5, 0.05], [4.0, 6.0, 0.0], [2.0, 2.0, 0.0]]


def test_every_form_does_the_flop_of_the_first_one():
    forms = summarize(FACTS, ROUNDS, [8.0, 2.0, 16.0])["forms"]
    # 4, 2 and 4 GFLOP/s of 8, 2 and 16; 2, 1 and 1.6.
    assert (forms["ours"]["gflops"], forms["ours"]["share_of_roof"]) == (4.0, 0.5)
    assert (forms["peer"]["gflops"], forms["peer"]["share_of_roof"]) == (1.6, 0.25)


@pytest.mark.parametrize(
    ("facts", "roof", "missing"),
    [
        pytest.param(FACTS, [8.0, 0.0, 8.0], {"share_of_roof"}, id="no roof"),
        pytest.param({name: {} for name in FACTS}, [8.0] * 3, {"share_of_roof", "gflops"}, id="no FLOP"),
    ],
)
def test_what_is_unknown_is_left_out(facts, roof, missing):
    figures = summarize(facts, ROUNDS, roof)["forms"]["ours"]
    assert {"share_of_roof", "gflops"} - figures.keys() == missing


def test_the_share_of_others_is_that_of_the_median_round():
    busy = [{"ours": [(1.0, 1.0, share)]} for share in (0.2, 2.0, 0.6)]
    assert summarize({"ours": {}}, busy, [0.0] * 3)["others"] == 0.3


def test_the_examples_hold():
    assert doctest.testmod(summary).attempted
    assert not doctest.testmod(summary).failed
