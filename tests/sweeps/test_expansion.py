"""Rows of a sweep as runs: what a run's config is, and which rows are refused."""

import pytest

from flax_googlenet.config import resolve
from flax_googlenet.errors import UserError
from flax_googlenet.sweeps import Row, Sweep, expand
from flax_googlenet.sweeps.rows import QUICK

BASE = {"batch_size": 8, "model": {"num_classes": 10}, "data": {"source": "mnist_sample"}}


def sweep(*rows, **options):
    return Sweep("mnist_sample", rows, **options)


def test_every_row_has_every_seed():
    runs = expand(sweep(Row("both"), Row("none", {"model.aux_heads": 0})), BASE, seeds=2, workdir="/runs")
    assert [(run.name, run.config.model.aux_heads, run.config.seed) for run in runs] == [
        ("both/seed_0", 2, 0),
        ("both/seed_1", 2, 1),
        ("none/seed_0", 0, 0),
        ("none/seed_1", 0, 1),
    ]
    assert str(runs[3].workdir) == "/runs/none/seed_1"


def test_seeds_count_from_that_of_the_config():
    runs = expand(sweep(Row("a")), {**BASE, "seed": 5}, seeds=2)
    assert [run.seed for run in runs] == [5, 6]
    runs = expand(sweep(Row("a")), {**BASE, "seed": 5}, seeds=2, changes={"seed": 7})
    assert [run.seed for run in runs] == [7, 8]


def test_a_row_comes_before_the_command_line_and_that_before_the_sweep():
    rows = (Row("a", {"model.dropout": 0.1}), Row("b", {"duration": "3 steps"}))
    changes = {"loss.aux_weight": 0.2}
    shared = {"loss.aux_weight": 0.5, "duration": "2 epochs", "model.dropout": 0.5}
    a, b = (run.config for run in expand(sweep(*rows, shared=shared), BASE, changes=changes))
    assert (a.model.dropout, a.duration, a.loss.aux_weight) == (0.1, "2 epochs", 0.2)
    assert (b.model.dropout, b.duration, b.loss.aux_weight) == (0.5, "3 steps", 0.2)
    assert (a.batch_size, a.model.num_classes) == (8, 10)


def test_a_run_is_resolved_as_its_settings_are():
    (run,) = expand(sweep(Row("a", {"model.variant": "bn"})), BASE)
    assert run.config == resolve({**BASE, "model": {**BASE["model"], "variant": "bn"}})


def test_quick_leaves_out_rows_and_shortens_the_others():
    rows = (Row("a"), Row("slow", {"model.aux_heads": 0}, quick=False), Row("b", {"model.dropout": 0.0}))
    runs = expand(sweep(*rows, selection="quick"), BASE)
    assert [run.row.name for run in runs] == ["a", "b"]
    assert {run.config.duration for run in runs} == {QUICK["duration"]}
    (first, *_) = expand(sweep(*rows, selection="quick"), BASE, changes={"duration": "9 steps"})
    assert first.config.duration == "9 steps"


def test_the_digest_is_that_of_what_changes_results():
    (first,) = expand(sweep(Row("a")), BASE)
    (same,) = expand(sweep(Row("b")), BASE, changes={"data.workers": 3, "log_every": "7 steps"})
    (other,) = expand(sweep(Row("a")), BASE, changes={"batch_size": 16})
    assert first.digest == same.digest != other.digest


@pytest.mark.parametrize(
    ("rows", "words"),
    [
        pytest.param((), "The sweep has no rows", id="nothing"),
        pytest.param((Row("a"), Row("a", {"seed": 1})), 'Two rows have the name "a"', id="name twice"),
        pytest.param((Row("A"),), '"A" cannot be the name of a row', id="capital"),
        pytest.param((Row("a/b"),), '"a/b" cannot be the name', id="slash"),
        pytest.param((Row(".."),), '".." cannot be the name', id="dots"),
        pytest.param((Row(""),), '"" cannot be the name', id="empty name"),
        pytest.param(
            (Row("a", {"model.aux_head": 0}),),
            'In the row "a": The config has no key "model.aux_head"',
            id="key",
        ),
        pytest.param((Row("a", {"model": {}}),), '"model" is a section of the config', id="section"),
        pytest.param(
            (Row("a", {"model.aux_heads": 3}),), 'In the row "a": config.model.aux_heads is 3;', id="value"
        ),
        pytest.param(
            (Row("a"), Row("b", {"model.aux_heads": 2})),
            'The rows "a" and "b" resolve to the same config',
            id="the default said aloud",
        ),
        pytest.param(
            (Row("a"), Row("b", {"log_every": "9 steps"})), 'The rows "a" and "b" resolve', id="operational"
        ),
        pytest.param((Row("a", {"seed": 3}),), 'The row "a" sets the seed', id="seed"),
        pytest.param(
            (Row("a", {"model.variant": "vgg16", "model.head": "fully_connected"}),),
            'In the row "a": config.model.head has no effect on vgg16',
            id="keys that clash",
        ),
        pytest.param(
            (Row("a", {"loss.aux_weight": 1.0}),),
            'config.loss.aux_weight is set for all rows, but the row "a" is about it',
            id="the command line",
        ),
    ],
)
def test_a_row_with_a_mistake_is_refused_by_name(rows, words):
    with pytest.raises(UserError) as error:
        expand(sweep(*rows), BASE, changes={"loss.aux_weight": 0.1})
    assert words in str(error.value)


@pytest.mark.parametrize(
    ("base", "words"),
    [
        ({"modl": {}}, 'The config has no key "modl"'),
        ({"model": 3}, "config.model is a section"),
    ],
)
def test_a_mistake_of_the_base_blames_no_row(base, words):
    with pytest.raises(UserError, match=words) as error:
        expand(sweep(Row("a", {"model.dropout": 0.1})), base)
    assert "row" not in str(error.value)


def test_rows_are_all_or_quick():
    with pytest.raises(UserError, match='rows is "quik"; it must be "all" or "quick"'):
        sweep(Row("a"), selection="quik")
