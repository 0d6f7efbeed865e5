"""The runs of a sweep in this process, with a training that only pretends, and with a small network."""

import json
import re

import jax
import pytest

from flax_googlenet import Preempted
from flax_googlenet.data import open_source
from flax_googlenet.errors import UserError
from flax_googlenet.sweeps import Plan, Row, Sweep, execute, execution, expand
from flax_googlenet.sweeps.plan import Cost, in_words, make_plan, seconds_per_step
from flax_googlenet.sweeps.records import RESULTS, SUMMARY
from tests.support.commands import read_metrics
from tests.sweeps.small import BASE, shrink_networks

ROWS = (Row("both"), Row("none", {"model.aux_heads": 0}))
COST = Cost(1_000, 2_000, 3_000, 4, 128)


def runs_in(workdir, rows=ROWS, seeds=2, base=BASE):
    return expand(Sweep("mnist_sample", rows), base, seeds=seeds, workdir=workdir)


def records_of(workdir):
    return {record["workdir"]: record for record in json.loads((workdir / RESULTS).read_text())["runs"]}


@pytest.fixture
def planned(monkeypatch):
    """Replace the plan, and return the runs that were timed."""
    timed = []

    def plan(runs, run=None):
        timed.append(run)
        return Plan(tuple(runs), {run.row.name: COST for run in runs}, 1e-9)

    monkeypatch.setattr(execution, "make_plan", plan)
    return timed


@pytest.fixture
def trained(monkeypatch, request):
    """Replace the plan, training and evaluation, and return the names of the runs that were trained."""
    request.getfixturevalue("planned")
    names = []

    def train(config, workdir):
        names.append("/".join(workdir.parts[-2:]))
        top1 = 0.9 + 0.01 * config.seed
        return {"step": 2, "top1": top1, "top5": 1.0, "loss": 0.5, "images_per_second": 9.0, "goodput": {}}

    def evaluate(workdir, out, aux_heads):
        assert "/".join(workdir.parts[-2:]) == names[-1]
        assert out == workdir / "evaluation"
        assert aux_heads is (workdir.parts[-2] != "none")

    monkeypatch.setattr(execution, "train", train)
    monkeypatch.setattr(execution, "evaluate", evaluate)
    return names


ALL = ["both/seed_0", "both/seed_1", "none/seed_0", "none/seed_1"]


def test_all_runs_are_trained_and_recorded(tmp_path, trained):
    outcome = execute(runs_in(tmp_path), tmp_path)
    assert trained == ALL
    assert (outcome.runs, outcome.failed, outcome.results) == (4, 0, str(tmp_path / RESULTS))
    record = records_of(tmp_path)["none/seed_1"]
    assert record.pop("digest")
    assert record.pop("device") == "8 x cpu"
    assert record.pop("versions")["jax"] == jax.__version__
    assert re.fullmatch(r"([0-9a-f]{7,}\+?)?", record.pop("commit"))
    assert record == {
        "row": "none",
        "seed": 1,
        "status": "done",
        "step": 2,
        "top1": 0.91,
        "top5": 1.0,
        "loss": 0.5,
        "images_per_second": 9.0,
        "params": 1_000,
        "multiply_adds": 2_000,
        "workdir": "none/seed_1",
    }
    assert "| none | 2 | 90.50 ± 0.71 | +0.00 ± 0.00 |" in (tmp_path / SUMMARY).read_text()


def test_complete_runs_are_skipped_and_no_step_is_timed_for_them(tmp_path, trained, planned):
    execute(runs_in(tmp_path), tmp_path)
    before = (tmp_path / SUMMARY).read_bytes()
    execute(runs_in(tmp_path), tmp_path)
    assert trained == ALL
    assert [run and run.name for run in planned] == ["both/seed_0", None]
    assert (tmp_path / SUMMARY).read_bytes() == before


def test_more_seeds_and_rows_add_runs(tmp_path, trained):
    execute(runs_in(tmp_path, seeds=1), tmp_path)
    trained.clear()
    execute(runs_in(tmp_path, (*ROWS, Row("third", {"model.dropout": 0.0})), seeds=2), tmp_path)
    assert trained == ["both/seed_1", "none/seed_1", "third/seed_0", "third/seed_1"]


@pytest.mark.parametrize(
    "error", [UserError("The loss is NaN."), jax.errors.JaxRuntimeError("RESOURCE_EXHAUSTED: 3 GB")]
)
def test_a_run_that_fails_does_not_stop_the_others(tmp_path, trained, monkeypatch, error):
    pretend = execution.train

    def train(config, workdir):
        if config.model.aux_heads == 2 and config.seed == 0:
            raise error
        return pretend(config, workdir)

    monkeypatch.setattr(execution, "train", train)
    assert execute(runs_in(tmp_path), tmp_path).failed == 1
    assert trained == ALL[1:]
    record = records_of(tmp_path)["both/seed_0"]
    assert record["status"] == "failed"
    assert "top1" not in record
    monkeypatch.setattr(execution, "train", pretend)
    assert execute(runs_in(tmp_path), tmp_path).failed == 0, "the same command tries it again"
    assert trained == [*ALL[1:], ALL[0]]


@pytest.mark.usefixtures("planned")
def test_a_run_whose_step_cannot_be_timed_does_not_stop_the_others(tmp_path, trained, monkeypatch):
    plan = execution.make_plan

    def failing(runs, run=None):
        if run is not None:
            raise UserError("config.optimizer.freeze matches no parameter.")
        return plan(runs)

    monkeypatch.setattr(execution, "make_plan", failing)
    runs = runs_in(tmp_path)
    assert execute(runs, tmp_path).failed == 0
    assert len(trained) == len(runs)


def test_a_bug_is_not_a_failed_run(tmp_path, monkeypatch):
    def train(_config, _workdir):
        raise ZeroDivisionError

    monkeypatch.setattr(execution, "train", train)
    with pytest.raises(ZeroDivisionError):
        execute(runs_in(tmp_path), tmp_path)


def test_a_preempted_sweep_goes_on(tmp_path, trained, monkeypatch):
    pretend = execution.train

    def train(config, workdir):
        if config.seed == 1:
            raise Preempted(1, "")
        return pretend(config, workdir)

    monkeypatch.setattr(execution, "train", train)
    with pytest.raises(Preempted):
        execute(runs_in(tmp_path), tmp_path)
    assert records_of(tmp_path).keys() == {"both/seed_0"}
    monkeypatch.setattr(execution, "train", pretend)
    execute(runs_in(tmp_path), tmp_path)
    assert trained == ALL


def test_a_changed_row_is_refused_by_name_before_anything_runs(tmp_path, trained):
    execute(runs_in(tmp_path), tmp_path)
    trained.clear()
    changed = (Row("both"), Row("none", {"model.aux_heads": 0, "model.dropout": 0.0}))
    with pytest.raises(UserError, match=r'The row "none" has changed since .*none/seed_0 was trained'):
        execute(runs_in(tmp_path, changed), tmp_path)
    assert not trained


@pytest.mark.usefixtures("trained")
def test_a_second_sweep_in_one_directory_is_refused(tmp_path, monkeypatch):
    pretend = execution.train

    def train(config, workdir):
        with pytest.raises(UserError, match="uses the workdir"):
            execute(runs_in(tmp_path), tmp_path)
        return pretend(config, workdir)

    monkeypatch.setattr(execution, "train", train)
    execute(runs_in(tmp_path, seeds=1), tmp_path)


def test_the_plan_counts_what_the_rows_cost():
    plan = make_plan(runs_in("/runs", seeds=3))
    assert plan.costs["both"].params == plan.costs["none"].params
    assert plan.costs["both"].training_multiply_adds > plan.costs["none"].training_multiply_adds
    assert plan.costs["both"].multiply_adds == plan.costs["none"].training_multiply_adds
    assert (plan.costs["both"].steps, plan.costs["both"].images) == (2, 16)
    assert "| 2 | 0, 1, 2 |  |" in plan.to_markdown()


def test_the_plan_scales_the_timed_step():
    runs = runs_in("/runs", seeds=3)
    plan = Plan(runs, {"both": COST, "none": Cost(1, 1, 1_500, 4, 128)}, 1e-3)
    assert plan.seconds("both") == 2 * plan.seconds("none") == pytest.approx(384)
    assert "6 min" in plan.to_markdown()
    assert plan.total().startswith(f"6 runs with {in_words(3 * 384 + 3 * 192)} of training steps")


@pytest.fixture
def small_networks(monkeypatch):
    shrink_networks(monkeypatch.setattr)


@pytest.mark.slow
@pytest.mark.usefixtures("small_networks")
def test_a_step_is_timed():
    (run, *_) = runs_in("/runs")
    assert seconds_per_step(run.config, open_source(run.config.data, "train")) > 0


@pytest.mark.slow
@pytest.mark.usefixtures("planned", "small_networks")
def test_a_real_sweep_is_repeatable_and_finds_its_checkpoints(tmp_path):
    """The records are lost after the first run, which the checkpoints then replace."""
    runs = runs_in(tmp_path, seeds=1)
    execute(runs, tmp_path)
    before = records_of(tmp_path)
    report = json.loads((tmp_path / "none/seed_0/evaluation/results.json").read_text())
    assert report["top1"] == before["none/seed_0"]["top1"]
    assert sum(map(sum, report["confusion"])) == report["num_examples"]
    metrics = read_metrics(tmp_path / "none/seed_0")
    (tmp_path / RESULTS).unlink()
    execute(runs, tmp_path)
    assert records_of(tmp_path) == before
    assert read_metrics(tmp_path / "none/seed_0") == metrics
    text = (tmp_path / RESULTS).read_text()
    for record in before.values():  # as those of an earlier version, whose config had other keys
        text = text.replace(record["digest"], "0" * 64)
    (tmp_path / RESULTS).write_text(text)
    execute(runs, tmp_path)
    assert records_of(tmp_path) == before
    assert read_metrics(tmp_path / "none/seed_0") == metrics
    changed = (Row("both"), Row("none", {"model.aux_heads": 0, "model.dropout": 0.0}))
    (tmp_path / RESULTS).unlink()
    with pytest.raises(UserError, match=r"config\.model\.dropout is 0\.4 there and 0\.0 here"):
        execute(runs_in(tmp_path, changed, seeds=1), tmp_path)
