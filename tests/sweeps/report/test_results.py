"""The figures of rows and the sentences about them, from runs that are only data."""

import csv
import io

import pytest

from flax_googlenet.sweeps.report import charts, results, tables
from flax_googlenet.sweeps.report.reading import RowData, RunData
from flax_googlenet.sweeps.report.results import class_differences, compare_rows, sentence


def row(name, top1_by_seed=None, failed=0, note="", **fields):
    done = [
        RunData(f"/{name}/{seed}", seed, "done", figures={"top1": top1}, **fields)
        for seed, top1 in (top1_by_seed or {}).items()
    ]
    broken = [RunData(f"/{name}/failed", 9 + i, "failed", "The loss is NaN.") for i in range(failed)]
    return RowData(name, note, (*done, *broken))


BASE = row("both", {0: 0.90, 1: 0.92})


@pytest.mark.parametrize(
    ("other", "words"),
    [
        (
            row("none", {0: 0.89, 1: 0.912}),
            "none: \N{MINUS SIGN}0.90 ± 1.27 points of top-1, 2 seeds, paired. The interval",
        ),
        (
            row("none", {0: 0.80, 1: 0.82}),
            "none: \N{MINUS SIGN}10.00 ± 0.00 points of top-1, 2 seeds, paired.",
        ),
        (row("none", {1: 0.93}), "none: +1.00 points of top-1, 1 seed, which gives no interval."),
        (row("none", {5: 0.93}), "none: 93.00% top-1, 1 seed, none of them in common with both."),
        (row("none", {}, failed=2), "none: no run is complete. 2 runs failed."),
        (row("none", {0: 0.80, 1: 0.82}, failed=1), "paired. 1 run failed."),
    ],
)
def test_the_answer_of_a_row(other, words):
    reference, result = compare_rows([BASE, other])
    assert words in sentence(result, reference)


def test_the_answer_of_the_reference():
    (reference,) = compare_rows([BASE])
    assert sentence(reference, reference) == "both, the reference: 91.00 ± 1.41% top-1, 2 seeds."


def test_a_sentence_says_when_nothing_is_shown():
    reference, result = compare_rows([BASE, row("none", {0: 0.91, 1: 0.91})])
    assert sentence(result, reference).endswith("The interval contains 0: no difference is shown.")
    reference, result = compare_rows([BASE, row("none", {0: 0.80, 1: 0.82})])
    assert "contains 0" not in sentence(result, reference)


def test_markdown_escapes_names_and_leaves_out_unknown_figures():
    found = compare_rows([row("a|b", {0: 0.9}, note="*<x>*"), row("c", {}, failed=1)])
    text = tables.to_markdown(found)
    assert "loss" not in text.split("Failed:")[0]
    (line,) = [line for line in text.splitlines() if line.startswith("| a")]
    assert line.startswith(r"| a\|b | 90.00 |  |")
    assert line.endswith(r"| \*\<x\>\* |")
    assert r"- /c/failed: The loss is NaN." in text


def test_csv_has_a_line_per_row_and_per_run():
    found = compare_rows([BASE, row("none, or few", {0: 0.8}, failed=1)])
    rows = list(csv.DictReader(io.StringIO(tables.rows_to_csv(found))))
    assert [line["row"] for line in rows] == ["both", "none, or few"]
    assert float(rows[0]["top1_mean"]) == 0.91
    assert (rows[0]["top1_difference"], rows[1]["top1_half_width"]) == ("", "")
    assert float(rows[1]["top1_difference"]) == pytest.approx(-0.1)
    runs = list(csv.DictReader(io.StringIO(tables.runs_to_csv(found))))
    assert [line["status"] for line in runs] == ["done", "done", "done", "failed"]


def with_classes(name, accuracy, names=("a", "b", "a")):
    classes = [{"name": n, "accuracy": value} for n, value in zip(names, accuracy, strict=True)]
    return row(name, {0: 0.9}, classes=classes)


def test_classes_are_compared_by_seed_and_names_that_occur_twice_are_told_apart():
    first, second = with_classes("x", (0.5, 0.5, 0.5)), with_classes("y", (0.6, 0.5, 0.4))
    found = class_differences(second, first)
    assert found == pytest.approx({"a (0)": 0.1, "b": 0.0, "a (2)": -0.1})
    assert class_differences(row("z", {0: 0.9}), first) == {}
    assert class_differences(with_classes("z", (0.1,), ("a",)), first) == {}


def test_of_many_classes_those_that_change_most_are_drawn():
    names = [f"class {i}" for i in range(100)]
    first = with_classes("x", [0.5] * 100, names)
    second = with_classes("y", [0.5 + 0.001 * i for i in range(100)], names)
    (chart,) = charts.class_changes([first, second])
    assert chart["layout"]["xaxis"]["ticktext"] == names[80:]
    assert chart["data"][0]["z"][0][-1] == pytest.approx(9.9)


def test_curves_of_long_runs_are_thinned_and_keep_their_ends():
    history = [{"step": step, "val/top1": step / 1e6} for step in range(1, 200_001)]
    (chart,) = charts.curves([row("x", {0: 0.9}, history=history)])
    (trace,) = [trace for trace in chart["data"] if trace.get("showlegend", True)]
    assert len(trace["x"]) <= charts.MAX_POINTS
    assert (trace["x"][0], trace["x"][-1]) == (1, 200_000)


def test_figures_with_a_single_point_come_after_curves():
    history = [{"step": 1, "train/top1": 0.1}, {"step": 2, "train/top1": 0.2, "val/top1": 0.3}]
    labels = [chart["label"] for chart in charts.curves([row("x", {0: 0.9, 1: 0.9}, history=history)])]
    assert labels == ["training top-1", "validation top-1"]


def test_a_loss_that_is_nan_is_not_drawn():
    history = [{"step": 1, "val/loss": 2.0}, {"step": 2, "val/loss": float("nan")}]
    (chart,) = charts.curves([row("x", {0: 0.9}, history=history)])
    assert chart["data"][-1]["x"] == [1]


def test_the_seeds_of_a_figure():
    assert results.by_seed(BASE, "top1") == {0: 0.90, 1: 0.92}
    assert results.by_seed(BASE, "loss") == {}
