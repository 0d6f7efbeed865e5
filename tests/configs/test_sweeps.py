"""The shipped sweeps: every row resolves over every base, and a new row is one line of data."""

import ast
import pathlib

import pytest

from flax_googlenet.sweeps import expand
from launch.common import config_file

ROOT = pathlib.Path(__file__).parents[2]
SWEEPS = sorted((ROOT / "configs/sweeps").glob("*.py"))
NAMES = {"aux_heads", "reductions", "normalization", "head", "schedule", "initialization"}
NAMES |= {"averaging", "augmentation", "paper", "versus"}


def runs_of(path, base, rows="all", **options):
    sweep = config_file.load_sweep(f"{path}:base={base},rows={rows}")
    return expand(sweep, config_file.load(config_file.path_of(sweep.base)), **options)


@pytest.fixture(autouse=True)
def at_the_root(monkeypatch):
    monkeypatch.chdir(ROOT)


def test_all_sweeps_are_here():
    assert {path.stem for path in SWEEPS} == NAMES


@pytest.mark.parametrize("rows", ["all", "quick"])
@pytest.mark.parametrize("base", ["mnist_sample", "imagenet"])
@pytest.mark.parametrize("path", SWEEPS, ids=lambda path: path.stem)
def test_every_row_resolves(path, base, rows):
    runs = runs_of(path, base, rows)
    assert len(runs) >= 2
    assert all(run.row.note for run in runs)
    if rows == "quick":
        assert {run.config.duration for run in runs} == {"1 epoch"}


@pytest.mark.parametrize("path", SWEEPS, ids=lambda path: path.stem)
def test_is_a_lab_note_that_imports_rows_only(path):
    tree = ast.parse(path.read_text())
    assert f"launch.sweep --sweep=configs/sweeps/{path.name}" in ast.get_docstring(tree)
    imported = {node.module for node in ast.walk(tree) if isinstance(node, ast.ImportFrom)}
    assert imported == {"flax_googlenet.sweeps"}
    assert not [node for node in ast.walk(tree) if isinstance(node, ast.Import)]


def test_the_paper_is_quoted_beside_every_row_but_the_reference():
    reference, *claims = runs_of(ROOT / "configs/sweeps/paper.py", "imagenet")
    assert not reference.row.overrides
    for run in claims:
        assert run.row.note.startswith(("Section 3", "Section 4", "Section 5", "Section 6")), run.name
        assert run.row.note.count('"') >= 2, run.name


def test_the_auxiliary_heads_are_all_four():
    heads = [
        (run.config.model.aux_heads, run.config.model.single_aux_head)
        for run in runs_of(ROOT / "configs/sweeps/aux_heads.py", "mnist_sample")[:4]
    ]
    assert heads == [(2, "aux_4d"), (0, "aux_4d"), (1, "aux_4a"), (1, "aux_4d")]


def test_an_ablation_is_added_as_one_row(tmp_path):
    """As docs/ablations.md says."""
    text = (ROOT / "configs/sweeps/head.py").read_text()
    new = '            Row("no_dropout", {"model.dropout": 0.0}, "Average pooling without dropout."),\n'
    before = "        ),\n        rows,\n"
    assert before in text
    path = tmp_path / "head.py"
    path.write_text(text.replace(before, new + before))
    *_, added = runs_of(path, "mnist_sample", "quick", seeds=2)
    assert (added.name, added.config.model.dropout) == ("no_dropout/seed_1", 0.0)
    assert new.strip() in (ROOT / "docs/ablations.md").read_text()
