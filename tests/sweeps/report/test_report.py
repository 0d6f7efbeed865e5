"""The files of a report of a sweep and of single runs."""

import csv
import dataclasses
import html.parser
import importlib.metadata
import json
import re
import shutil
import sys

import plotly.graph_objects as go
import pytest

from flax_googlenet.checkpoints import Checkpoints, Description
from flax_googlenet.config import flatten, resolve, to_json_dict
from flax_googlenet.errors import UserError
from flax_googlenet.inheritance import resolve_config
from flax_googlenet.sweeps.report import write_report
from flax_googlenet.sweeps.report.reading import read_rows
from flax_googlenet.training.reporting.clock import ACTIVITIES
from flax_googlenet.training.reporting.goodput import GOODPUT_FILE, Attempt
from launch.common import config_file
from tests.support.checkpoints import arrays
from tests.sweeps.report.example import BASE, CONDITIONS, ROWS, make_sweep, result_of_run

MAX_BYTES = 6_000_000


def command_of(config, run):
    return f"train {config.name} --seed={run.seed}"


def read_csv(path):
    with path.open() as file:
        return list(csv.DictReader(file))


def charts_of(page):
    (text,) = re.findall(r'<script type="application/json" id="charts">(.*?)</script>', page, flags=re.DOTALL)
    return json.loads(text)


class Scripts(html.parser.HTMLParser):
    """Counts the script elements of a page."""

    count = 0

    def handle_starttag(self, tag, _):
        self.count += tag == "script"


def test_the_tables_have_all_rows_and_runs(sweep):
    rows, runs = read_csv(sweep / "report/rows.csv"), read_csv(sweep / "report/runs.csv")
    records = json.loads((sweep / "results.json").read_text())["runs"]
    assert [row["row"] for row in rows] == [row.name for row in ROWS]
    assert len(runs) == len(records) == 9
    assert [(row["runs"], row["failed"]) for row in rows] == [("3", "0"), ("3", "0"), ("2", "1")]
    by_name = {record["workdir"]: record for record in records}
    for run in runs:
        record = by_name[f"{run['row']}/seed_{run['seed']}"]
        assert run["status"] == record["status"]
        assert run["top1"] == str(record.get("top1", ""))
    assert float(rows[0]["ece_mean"]) == pytest.approx(0.005)
    assert float(rows[0]["top1_aux_4d_mean"]) == pytest.approx(0.9 * float(rows[0]["top1_mean"]))
    assert rows[1]["top1_aux_4d_mean"] == "", "it has no auxiliary heads"
    assert float(rows[0]["seconds_mean"]) == 61.0
    assert rows[1]["params"] == rows[0]["params"]  # both leave the auxiliary heads out at inference


def test_the_page_has_what_it_promises(sweep):
    page = (sweep / "report/index.html").read_text()
    assert len(page.encode()) < MAX_BYTES
    assert "none: +0.90 ± 0.25 points of top-1, 3 seeds, paired." in page
    for text in ("1 run failed.", "The loss is NaN, &lt;b&gt;say&lt;/b&gt;.", "train none.py --seed=2"):
        assert text in page
    for text in ("0123abc", "1 x cpu", "model.aux_heads", "inception_3a", "4\N{MULTIPLICATION SIGN}256"):
        assert text in page
    scripts = Scripts()
    scripts.feed(page)
    assert scripts.count == 3, "names and notes have made no script"
    charts = charts_of(page)
    assert [chart["label"] for chart in charts["curves"]][-3:-1] == [
        "training loss, auxiliary head 4a",
        "training top-1",
    ]
    assert charts["classes"][0]["layout"]["xaxis"]["ticktext"][1] == "&lt;b&gt;dog&lt;/b&gt;"
    assert [chart["label"] for chart in charts["confusion"]] == [row.name for row in ROWS]
    assert charts["confusion"][0]["data"][0]["text"][0][0] == str(9 + 10 + 11)


def test_the_charts_are_valid(sweep):
    charts = charts_of((sweep / "report/index.html").read_text())
    for figures in charts.values():
        for figure in figures:
            go.Figure(figure["data"], figure["layout"])


def test_the_same_runs_give_the_same_files(sweep, tmp_path):
    write_report([sweep], command_of, tmp_path / "again")
    for path in sorted((tmp_path / "again").rglob("*.*")):
        assert path.read_bytes() == (sweep / "report" / path.relative_to(tmp_path / "again")).read_bytes()
    assert len(list((tmp_path / "again").iterdir())) == 5


def test_the_config_beside_a_report_is_that_of_the_row(sweep):
    config = resolve_config(config_file.load(str(sweep / "report/configs/no_dropout.py")))
    recorded = json.loads((sweep / "no_dropout/seed_0/config.json").read_text())
    assert flatten(to_json_dict(config)) == flatten(recorded)


def test_runs_without_details_have_fewer_columns(tmp_path):
    make_sweep(tmp_path / "sweep", rows=ROWS[:2], seeds=1)
    for name in ("both", "none"):
        shutil.rmtree(tmp_path / f"sweep/{name}/seed_0/evaluation")
        (tmp_path / f"sweep/{name}/seed_0/metrics.jsonl").unlink()
    write_report([tmp_path / "sweep"], command_of)
    page = (tmp_path / "sweep/report/index.html").read_text()
    assert "calibration error" not in page
    assert "Confusion" not in page
    assert "Learning curves" not in page
    assert "which gives no interval" in page


def test_a_run_that_was_removed_keeps_its_record(tmp_path):
    make_sweep(tmp_path / "sweep", rows=ROWS[:2], seeds=1)
    shutil.rmtree(tmp_path / "sweep/none")
    write_report([tmp_path / "sweep"], command_of)
    assert read_csv(tmp_path / "sweep/report/rows.csv")[1]["params"] == ""
    assert "none: +1.00 points" in (tmp_path / "sweep/report/index.html").read_text()


def make_run(workdir, *, complete=True, **changes):
    """Write a checkpoint of a run, complete or not."""
    config = resolve({**BASE, **changes})
    weights, optimizer = arrays()
    description = Description(
        40,
        to_json_dict(config),
        ("a", "b", "c"),
        history=[{"step": 40, "val/top1": 0.9}],
        result=result_of_run(0, config.seed) if complete else {},
    )
    saved = Checkpoints(str(workdir), keep_last=1, keep_best=1)
    saved.save(40, weights=weights, optimizer=optimizer, description=description, metrics=None)
    saved.close()


def test_runs_that_differ_in_the_seed_are_a_row(tmp_path):
    for seed in (0, 1):
        make_run(tmp_path / f"first_{seed}", seed=seed)
    make_run(tmp_path / "second", batch_size=16)
    make_run(tmp_path / "third/second", complete=False, batch_size=32)
    workdirs = [tmp_path / name for name in ("first_0", "first_1", "second", "third/second")]
    rows = read_rows(workdirs)
    names = [(row.name, [run.seed for run in row.runs]) for row in rows]
    assert [seeds for _, seeds in names] == [[0, 1], [0], [0]]
    assert names[0][0].endswith("first_0")
    assert rows[2].runs[0].status == "unfinished"
    report = write_report(workdirs, command_of, tmp_path / "out")
    assert (report.runs, report.page) == (4, report.page.parent / "index.html")
    assert "third/second: no run is complete." in report.page.read_text()


def test_the_conditions_of_a_run_are_those_of_its_last_process(tmp_path):
    make_run(tmp_path)
    jax_only = {"jax": importlib.metadata.version("jax")}
    (row,) = read_rows([tmp_path])
    assert row.runs[0].conditions["versions"].items() >= jax_only.items(), "those of the checkpoint"
    assert row.runs[0].conditions.keys() == {"versions"}
    attempts = [
        Attempt("", 0, 20, dict.fromkeys(ACTIVITIES, 1.0), 0.0),
        Attempt("", 20, 40, dict.fromkeys(ACTIVITIES, 1.0), 0.0, CONDITIONS),
    ]
    history = [dataclasses.asdict(attempt) for attempt in attempts]
    (tmp_path / GOODPUT_FILE).write_text(json.dumps({"history": history}))
    (row,) = read_rows([tmp_path])
    assert row.runs[0].conditions == CONDITIONS
    write_report([tmp_path], command_of)
    (line,) = read_csv(tmp_path / "report/runs.csv")
    assert (line["device"], line["commit"]) == ("1 x cpu", "0123abc")


def test_a_repeated_run_is_a_row_of_its_own(tmp_path):
    for name in ("a", "b"):
        make_run(tmp_path / name)
    assert [row.name for row in read_rows([tmp_path / "a", tmp_path / "b"])] == ["a", "b"]


def test_rows_of_two_sweeps_have_the_names_of_both(sweep, tmp_path):
    make_sweep(tmp_path / "other", rows=ROWS[:1], seeds=1)
    rows = read_rows([sweep, tmp_path / "other"])
    assert [row.name for row in rows] == ["sweep/both", "sweep/none", "sweep/no_dropout", "other/both"]


@pytest.mark.parametrize(
    ("files", "words"),
    [
        (
            {},
            "is neither the directory of a sweep nor of a run, since it has no results.json and no ",
        ),
        ({"results.json": "{"}, "results.json is not the file of a sweep; name the directory"),
        ({"results.json": '{"classes": []}'}, "results.json is not the file of a sweep; name the directory"),
        ({"results.json": '{"runs": [{}]}'}, "results.json is corrupt; remove it, and repeat the command"),
        ({"results.json": '{"runs": []}'}, "has no run yet; wait until its first run is complete"),
        ({"config.json": "{"}, "config.json is corrupt; remove it"),
        ({"config.json": "{}", "metrics.jsonl": "{\n"}, "metrics.jsonl is corrupt; remove it"),
    ],
)
def test_a_directory_without_runs(tmp_path, files, words):
    for name, text in files.items():
        (tmp_path / name).write_text(text)
    with pytest.raises(UserError, match=re.escape(words)):
        write_report([tmp_path], command_of)
    assert not (tmp_path / "report").exists()


def test_directories_that_are_missing_or_named_twice(tmp_path):
    with pytest.raises(UserError, match=r"There is no directory .*/nowhere; name the directory"):
        read_rows([tmp_path / "nowhere"])
    with pytest.raises(UserError, match="is named twice"):
        read_rows([tmp_path, tmp_path])
    with pytest.raises(UserError, match="There is no workdir to report on"):
        read_rows([])


def test_a_directory_that_cannot_be_written(sweep, tmp_path):
    (tmp_path / "file").touch()
    with pytest.raises(UserError, match=r"Cannot write to .*/file/out: .*; choose another out\."):
        write_report([sweep], command_of, tmp_path / "file/out")


@pytest.mark.parametrize("package", ["plotly", "jinja2"])
def test_a_missing_package_is_named_with_its_extra(monkeypatch, sweep, package):
    for name in [name for name in sys.modules if name.partition(".")[0] == package]:
        monkeypatch.delitem(sys.modules, name)
    monkeypatch.setitem(sys.modules, package, None)
    with pytest.raises(UserError, match=rf'needs the package {package}; .*pip install -e "\.\[report\]"'):
        write_report([sweep], command_of)
