"""The trials of a search, with a training that only pretends, and with a small network."""

import json
import math
import re
import signal
import sys

import pytest

from flax_googlenet.config import flatten
from flax_googlenet.errors import UserError
from flax_googlenet.inheritance import resolve_config
from flax_googlenet.sweeps import (
    Choice,
    Plan,
    Range,
    Row,
    Search,
    Sweep,
    execute,
    execution,
    expand,
    run_search,
)
from flax_googlenet.sweeps import search as search_module
from flax_googlenet.sweeps.plan import Cost
from flax_googlenet.sweeps.records import RESULTS, SUMMARY
from flax_googlenet.sweeps.report.reading import read_rows
from flax_googlenet.sweeps.report.results import compare_rows, sentence
from flax_googlenet.sweeps.report.tables import columns
from flax_googlenet.sweeps.search import trials_table
from launch.common import config_file
from tests.support.commands import run_module
from tests.sweeps import small_search
from tests.sweeps.small import STEP_BY_STEP

RATE = "optimizer.learning_rate"
SPACE = {RATE: Range(1e-4, 1.0, log=True), "optimizer.nesterov": Choice(True, False)}
TRIALS = 12


class Killed(BaseException):
    """The process ends."""


class Training:
    """A training that only pretends.

    Attributes:
      names: the trials that were trained, in their order.
      kill: name of a trial in which the process ends.
      fail: name of a trial whose loss becomes NaN.
    """

    def __init__(self):
        self.names, self.kill, self.fail = [], "", ""

    def train(self, config, workdir, on_evaluation):
        name = workdir.parent.name
        self.names.append(name)
        accuracy = 1 - abs(math.log10(config.optimizer.learning_rate) + 2) / 4
        for step in (1, 2):
            figures = {"top1": accuracy * step / 2, "top5": 1.0, "loss": 1 - accuracy, "num_examples": 10}
            if name == self.kill:
                raise Killed
            on_evaluation(step, figures)
            if name == self.fail:
                raise UserError("The loss became nan.")
        return {"step": 2, **figures, "images_per_second": 9.0}


@pytest.fixture
def training(monkeypatch):
    fake = Training()
    cost = Cost(1_000, 2_000, 3_000, 2, 16)
    monkeypatch.setattr(
        search_module, "make_plan", lambda runs, _=None: Plan((), {run.row.name: cost for run in runs}, 1.0)
    )
    monkeypatch.setattr(execution, "train", fake.train)
    monkeypatch.setattr(execution, "evaluate", lambda *_, **__: None)
    return fake


def run_in(workdir, trials=TRIALS, space=SPACE, **options):
    return run_search(Search("mnist_sample", space), STEP_BY_STEP, trials=trials, workdir=workdir, **options)


def test_all_trials_are_trained_recorded_and_ranked(tmp_path, training):
    outcome = run_in(tmp_path)
    assert training.names == [f"trial_{number:03}" for number in range(TRIALS)]
    assert outcome.count("done") + outcome.count("pruned") == TRIALS
    assert outcome.count("pruned") > 0
    content = json.loads((tmp_path / RESULTS).read_text())
    assert content["runs"] == list(outcome.records)
    first, pruned = outcome.records[0], next(r for r in outcome.records if r["status"] == "pruned")
    assert first["values"] == {RATE: 0.01, "optimizer.nesterov": False}, "the values of the base config"
    assert first["evaluations"] == [[1, 0.5], [2, 1.0]]
    assert (first["workdir"], first["params"], first["images_per_second"]) == ("trial_000/seed_0", 1_000, 9.0)
    assert pruned["step"] == 1
    assert pruned["evaluations"] == [[1, pruned["top1"]]]
    assert pruned["commit"] == first["commit"]
    assert outcome.best == first
    lines = (tmp_path / SUMMARY).read_text().splitlines()
    assert lines[0] == "| trial | top-1 in % | loss | learning_rate | nesterov | end |"
    assert lines[2] == "| trial_000 | 100.00 | 0.0000 | 0.01 | False | complete at step 2 |"
    assert lines[-1].endswith("pruned at step 1 |")
    assert len(lines) == TRIALS + 2


@pytest.mark.usefixtures("training")
def test_the_best_config_repeats_the_trial(tmp_path):
    outcome = run_in(tmp_path, 3)
    config = resolve_config(config_file.load(outcome.config))
    base = resolve_config(STEP_BY_STEP)
    assert {key for key, value in flatten(config).items() if value != flatten(base)[key]} <= SPACE.keys()
    assert config.optimizer.learning_rate == outcome.best["values"][RATE]
    assert outcome.best["top1"] == max(record["top1"] for record in outcome.records)


@pytest.mark.parametrize("kill", ["trial_000", "trial_011"])
def test_a_search_that_was_killed_ends_as_one_that_was_not(tmp_path, training, kill):
    expected = run_in(tmp_path / "whole").records
    training.names.clear()
    training.kill = kill
    with pytest.raises(Killed):
        run_in(tmp_path / "killed")
    assert json.loads((tmp_path / "killed" / RESULTS).read_text())["runs"][-1]["status"] == "running"
    training.kill = ""
    done = len(training.names)
    assert run_in(tmp_path / "killed").records == expected
    assert training.names[done - 1] == training.names[done] == kill, "tried again, once"
    assert len(training.names) == TRIALS + 1
    assert (tmp_path / "killed" / SUMMARY).read_text() == (tmp_path / "whole" / SUMMARY).read_text()


def test_a_complete_search_trains_nothing_and_more_trials_go_on(tmp_path, training):
    expected = run_in(tmp_path / "whole").records
    training.names.clear()
    first = run_in(tmp_path / "parts", 6).records
    assert run_in(tmp_path / "parts", 6).records == first == expected[:6]
    assert len(training.names) == 6
    assert run_in(tmp_path / "parts").records == expected
    assert run_in(tmp_path / "parts", 4).records == expected[:4], "fewer trials leave the others alone"
    assert len(json.loads((tmp_path / "parts" / RESULTS).read_text())["runs"]) == TRIALS


def test_a_trial_that_fails_does_not_stop_the_others_and_is_tried_again(tmp_path, training):
    training.fail = "trial_001"
    outcome = run_in(tmp_path, 4)
    assert outcome.count("failed") == 1
    failed = outcome.records[1]
    assert failed["error"] == "The loss became nan."
    assert "failed: The loss became nan." in outcome.table.splitlines()[-1]
    training.names.clear()
    training.fail = ""
    again = run_in(tmp_path, 4)
    assert training.names == ["trial_001"]
    assert again.count("failed") == 0
    assert [record["values"] for record in again.records] == [record["values"] for record in outcome.records]


def test_no_trial_is_best_if_none_is_complete(tmp_path, training):
    training.fail = "trial_000"
    outcome = run_in(tmp_path, 1)
    assert outcome.best is None
    assert outcome.config == ""
    assert not (tmp_path / "best.py").exists()


@pytest.mark.usefixtures("training")
def test_a_base_outside_of_the_space_is_not_the_first_trial(tmp_path):
    outcome = run_in(tmp_path, 1, {RATE: Range(0.1, 1.0)})
    assert 0.1 <= outcome.records[0]["values"][RATE] <= 1.0


@pytest.mark.usefixtures("training")
def test_the_report_reads_a_search(tmp_path):
    outcome = run_in(tmp_path)
    results = compare_rows(read_rows([tmp_path]))
    assert len(results) == TRIALS
    pruned = [result for result in results if result.pruned]
    assert len(pruned) == outcome.count("pruned")
    assert sentence(pruned[0], results[0]) == f"{pruned[0].data.name}: pruned at step 1."
    assert results[0].data.note == f"{RATE}=0.01, optimizer.nesterov=False"
    assert "pruned" in [column.title for column in columns(results)]


def test_without_optuna_a_sentence_says_how_to_install_it(tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "optuna", None)
    with pytest.raises(UserError, match=r'package optuna; .*pip install -e "\.\[search\]"'):
        run_in(tmp_path)


@pytest.mark.parametrize(
    ("again", "sentence"),
    [
        (
            {"space": {RATE: Range(1e-4, 0.5, log=True)}},
            "config.optimizer.learning_rate has Range(low=0.0001",
        ),
        (
            {"space": {RATE: SPACE[RATE]}},
            "config.optimizer.nesterov has Choice(True, False) there and one value",
        ),
        ({"changes": {"seed": 1}}, "config.seed is 1, and that of the trials in"),
        (
            {"changes": {"duration": "3 steps"}},
            "trial_000/seed_0 was trained: the digests of their configs differ; choose another workdir for",
        ),
    ],
)
def test_a_changed_search_is_refused(tmp_path, training, again, sentence):
    run_in(tmp_path, 2)
    training.names.clear()
    with pytest.raises(UserError, match=re.escape(sentence)):
        run_in(tmp_path, 2, **again)
    assert not training.names


@pytest.mark.usefixtures("training")
def test_sweeps_and_searches_do_not_share_a_directory(tmp_path):
    run_in(tmp_path / "search", 1)
    runs = expand(Sweep("mnist_sample", (Row("a"),)), STEP_BY_STEP, workdir=tmp_path / "search")
    with pytest.raises(UserError, match="has the trials of a search; choose another workdir"):
        execute(runs, tmp_path / "search")
    (tmp_path / "sweep").mkdir()
    (tmp_path / "sweep" / RESULTS).write_text('{"runs": []}')
    with pytest.raises(UserError, match="has the runs of a sweep; choose another workdir"):
        run_in(tmp_path / "sweep", 1)


@pytest.mark.parametrize(
    ("space", "changes", "sentence"),
    [
        (
            SPACE,
            {RATE: 0.1},
            "config.optimizer.learning_rate is set for all trials, but the search is about it",
        ),
        (
            {"model.aux_heads": Choice(1, 2), "model.single_aux_head": Choice("aux_4d", "aux_4a")},
            {},
            "allows model.aux_heads=2, model.single_aux_head=aux_4a: config.model.single_aux_head is",
        ),
        (SPACE, {"model.aux_head": 1}, 'The config has no key "model.aux_head"'),
    ],
)
def test_a_mistake_is_refused_before_anything_is_written(tmp_path, space, changes, sentence):
    with pytest.raises(UserError, match=re.escape(sentence)):
        run_in(tmp_path / "search", space=space, changes=changes)
    assert not (tmp_path / "search").exists()


def test_keys_with_the_same_last_part_keep_their_sections():
    record = {
        "row": "trial_000",
        "status": "running",
        "values": {"batch_size": 8, "evaluation.batch_size": 9},
    }
    assert trials_table([record], record["values"]).splitlines()[0].split(" | ")[3:5] == [
        "batch_size",
        "evaluation.batch_size",
    ]


@pytest.mark.slow
@pytest.mark.usefixtures("quick_to_compile")
def test_a_real_search_that_was_killed_ends_as_one_that_was_not(tmp_path, monkeypatch):
    """SIGKILL in the second of three trials, which resumes from its checkpoint; the third is pruned."""
    killed = run_module("tests.sweeps.small_search", tmp_path / "killed", devices=8)
    assert killed.returncode == -signal.SIGKILL, killed.stderr
    small_search.shrink(monkeypatch.setattr)
    found = small_search.run(tmp_path / "killed").records
    log = (tmp_path / "killed/trial_001/seed_0/logs/process_0.log").read_text()
    assert re.search(r"resuming at step [12] of 4", log)
    expected = small_search.run(tmp_path / "whole").records
    assert [record["status"] for record in expected] == ["done", "done", "pruned"]
    assert [without_conditions(record) for record in found] == [
        without_conditions(record) for record in expected
    ]
    log = (tmp_path / "whole/trial_002/seed_0/logs/process_0.log").read_text()
    assert log.splitlines()[-1] == "trial_002 is pruned after step 1 of 4"
    (last,) = read_rows([tmp_path / "whole"])[2].runs
    assert [line["step"] for line in last.history if "val/top1" in line] == [1]


def without_conditions(record):
    return {name: value for name, value in record.items() if name not in ("images_per_second", "commit")}
