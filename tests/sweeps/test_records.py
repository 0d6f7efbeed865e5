"""What a sweep writes: results.json and summary.md."""

import json

import pytest

from flax_googlenet.errors import UserError
from flax_googlenet.paths import resolve_path
from flax_googlenet.sweeps import Row, Sweep, expand
from flax_googlenet.sweeps.plan import Cost
from flax_googlenet.sweeps.records import RESULTS, SUMMARY, Records, summary

COST = Cost(params=6_998_552, multiply_adds=99_400_000, training_multiply_adds=0, steps=1, images=32)
ROWS = (Row("both", note="The paper's | heads."), Row("none", {"model.aux_heads": 0}))


def runs_in(workdir, seeds=2, rows=ROWS, **changes):
    return expand(Sweep("mnist_sample", rows), {}, seeds=seeds, workdir=workdir, changes=changes)


def done(top1):
    return {"status": "done", "step": 1, "top1": top1, "top5": 1.0, "loss": 0.5, "images_per_second": 90.0}


def test_the_table_compares_rows_by_seed(tmp_path):
    runs = runs_in(tmp_path)
    records = Records(resolve_path(tmp_path))
    for run, top1 in zip(runs, (0.90, 0.92, 0.91, 0.95), strict=True):
        records.add(run, COST, done(top1))
    records.write(runs)
    lines = (tmp_path / SUMMARY).read_text().splitlines()
    assert lines[2] == (
        "| both | 2 | 91.00 ± 1.41 |  | 100.00 ± 0.00 | 0.5000 ± 0.0000 | 6,998,552 | 99.4M | 90.0 ± 0.0 "
        r"| The paper's \| heads. |"
    )
    assert lines[3].startswith("| none | 2 | 93.00 ± 2.83 | +2.00 ± 12.71 | ")
    assert lines[3].count("|") == lines[0].count("|")


def test_a_table_without_speed_has_a_column_less(tmp_path):
    (run,) = runs_in(tmp_path, seeds=1, rows=ROWS[:1])
    records = Records(resolve_path(tmp_path))
    records.add(run, COST, done(0.9))
    record = records.of(run)
    lines = {speed: summary([record], "both", {"both": ""}, with_speed=speed) for speed in (True, False)}
    assert "| 99.4M | 90.0 | |" in " ".join(lines[True].split())
    assert "| 99.4M | |" in " ".join(lines[False].split())
    head, line = (lines[False].splitlines()[index] for index in (0, 2))
    assert head.count("|") == line.count("|") == 10


def test_failed_and_missing_runs_leave_cells_empty(tmp_path):
    runs = runs_in(tmp_path)
    records = Records(resolve_path(tmp_path))
    records.add(runs[0], COST, done(0.9))
    records.add(runs[1], COST, {"status": "failed", "error": "The loss is NaN."})
    records.write(runs)
    lines = (tmp_path / SUMMARY).read_text().splitlines()
    assert lines[2].startswith("| both | 1, 1 failed | 90.00 |  | 100.00 | 0.5000 | ")
    assert lines[3] == "| none | 0 |  |  |  |  |  |  |  |  |"


def test_a_row_without_a_common_seed_is_not_compared(tmp_path):
    runs = runs_in(tmp_path)
    records = Records(resolve_path(tmp_path))
    records.add(runs[0], COST, done(0.9))
    records.add(runs[3], COST, done(0.8))
    records.write(runs)
    assert "| no common seed |" in (tmp_path / SUMMARY).read_text()


def test_records_are_read_again_and_those_of_other_seeds_kept(tmp_path):
    runs = runs_in(tmp_path)
    records = Records(resolve_path(tmp_path))
    for run in runs:
        records.add(run, COST, done(0.9))
    records.write(runs)
    again = Records(resolve_path(tmp_path))
    assert all(map(again.is_done, runs))
    again.write(runs_in(tmp_path, seeds=1))
    content = json.loads((tmp_path / RESULTS).read_text())
    assert content["reference"] == "both"
    assert [record["workdir"] for record in content["runs"]] == [
        "both/seed_0",
        "none/seed_0",
        "both/seed_1",
        "none/seed_1",
    ]
    assert not list(tmp_path.glob(".partial*"))


def test_a_record_is_that_of_its_config(tmp_path):
    (run,) = runs_in(tmp_path, seeds=1, rows=ROWS[:1])
    (changed,) = runs_in(tmp_path, seeds=1, rows=ROWS[:1], batch_size=64)
    records = Records(resolve_path(tmp_path))
    records.add(run, COST, done(0.9))
    assert records.is_done(run)
    assert not records.is_done(changed)
    records.add(run, COST, {"status": "failed", "error": "The disk is full."})
    assert not records.is_done(run)


@pytest.mark.parametrize("text", ["", "[]", '{"runs": [{}]}', "{"])
def test_a_corrupt_file_is_refused(tmp_path, text):
    (tmp_path / RESULTS).write_text(text)
    with pytest.raises(UserError, match=r"results\.json is corrupt; remove it"):
        Records(resolve_path(tmp_path))
