"""The study on digits, with small networks."""

import json

import jax
import pytest

from docs.initialization import draw
from flax_googlenet import sharding
from flax_googlenet.models import GoogLeNet
from flax_googlenet.models.initialization import initial_variables
from launch.common import config_file
from studies.initialization import escape
from studies.initialization.escape import WINDOW, Heads
from studies.initialization.rescaling import measure, rescale
from studies.initialization.rows import DEFAULT_ROWS, ROWS
from studies.initialization.table import initialization
from tests.studies.small import write_photographs


@pytest.fixture
def study(run_here, monkeypatch, small_table, tmp_path):
    """A function that runs the study in this process and returns its result and what it said."""
    build = escape.build_model
    monkeypatch.setattr(escape, "build_model", lambda model: build(model).clone(table=small_table))
    mesh = sharding.data_mesh(jax.devices()[:1])
    monkeypatch.setattr(sharding, "data_mesh", lambda: mesh)

    def run(*flags):
        paths = (f"--workdir={tmp_path}/work", f"--out={tmp_path}/out.json")
        process = run_here("studies.initialization", *paths, "--batch_size=8", *flags)
        return process, json.loads((tmp_path / "out.json").read_text()) if process.returncode == 0 else None

    return run


@pytest.mark.slow
def test_seeds_are_trained_until_they_leave_chance_or_the_budget_is_spent(study, tmp_path):
    write_photographs(tmp_path / "photographs", {"blue": 20, "green": 20, "few": 3})
    data = (f"--data={tmp_path}/photographs", "--classes=2")
    process, result = study(*data, "--rows=bn_he,bvlc_lsuv", "--steps=40", "--seeds=1")
    assert process.returncode == 0, process.stderr
    learned, rescaled = result["rows"].values()
    assert learned["figures"]["main_head"] == 1, "two colors are easy"
    assert learned["figures"]["median_step"] >= WINDOW
    for row in (learned, rescaled):
        trial = row["seeds"]["0"]
        steps = [step for step in trial["left"].values() if step]
        assert trial["steps"] == (max(steps) if len(steps) == 3 else 40)
        assert len(trial["losses"]) == -(-trial["steps"] // WINDOW)
    assert json.loads(process.stdout.splitlines()[-1])["bn_he"] == learned["figures"]
    assert "| `bn_he` | 1/1 |" in initialization(result)

    kept = {file: file.stat().st_mtime_ns for file in tmp_path.glob("work/*/seed_0.json")}
    assert len(kept) == 2
    _, more = study(*data, "--rows=bn_he", "--steps=40", "--seeds=2")
    seeds = more["rows"]["bn_he"]["seeds"]
    assert seeds.keys() == {"0", "1"}
    assert seeds["0"]["losses"] != seeds["1"]["losses"]
    assert {file: file.stat().st_mtime_ns for file in kept} == kept

    process, _ = study("--rows=bn_he", "--steps=40")
    assert process.returncode == 1, "digits are not mirrored"
    assert "config.data.mirror is True there and False here" in process.stderr


def test_unknown_rows_are_refused(study):
    process, _ = study("--rows=bn_hee")
    assert process.returncode == 1
    assert '--rows has no choice "bn_hee"; did you mean "bn_he"' in process.stderr


def test_every_variant_has_every_initializer_and_recipes_exist():
    assert {"paper_xavier", "bvlc_lecun", "vgg16_he", "torchvision_xavier", "bn_he"} <= ROWS.keys()
    assert "vgg16_he" not in DEFAULT_ROWS
    for row in ROWS.values():
        if row.recipe:
            assert config_file.load(row.recipe)["model"]


@pytest.mark.slow
def test_rescaled_layers_have_unit_variance(small_table):
    model = GoogLeNet(num_classes=3, table=small_table)
    images = jax.random.normal(jax.random.key(0), (4, 32, 32, 3))
    params = initial_variables(model, "xavier", 0, 32)["params"]
    before = measure(model, params, images)
    assert max(before.values()) > 2
    assert ("aux_4d", "fc") in before
    after = measure(model, rescale(model, params, images), images)
    assert after.keys() == before.keys()
    for layer, factor in after.items():
        assert float(factor) == pytest.approx(1, abs=1e-3), layer


def test_a_head_that_diverges_ends_the_trial():
    heads = Heads(["logits", "aux_4d"], 10)
    heads.add({"logits": 2.3, "aux_4d": 2.3})
    assert not heads.done
    heads.add({"logits": 2.3, "aux_4d": float("nan")})
    assert heads.done
    outcome = heads.outcome()
    assert outcome == {"left": {"logits": None, "aux_4d": None}, "steps": 2, "diverged": True, "losses": []}
    json.dumps(outcome, allow_nan=False)


def test_a_head_leaves_chance_once():
    heads = Heads(["logits"], 2)
    for loss in [0.1] * WINDOW + [0.7] * WINDOW:
        heads.add({"logits": loss})
    assert heads.outcome()["left"] == {"logits": WINDOW}
    assert heads.outcome()["losses"] == [0.1, 0.7]


def test_the_picture_has_a_point_per_seed_and_counts_those_at_chance():
    def seeds(*steps):
        return {"seeds": {str(seed): {"left": {"logits": step}} for seed, step in enumerate(steps)}}

    rows = {"paper_he": seeds(30, 40), "bvlc_xavier": seeds(50, None, None)}
    (axes,) = draw({"setting": {"steps": 100}, "rows": rows}).axes
    _, first, second, stuck = axes.lines
    assert first.get_xydata().tolist() == [[30, 0], [40, 0]]
    assert second.get_xydata().tolist() == [[50, 1]]
    assert stuck.get_xydata().tolist() == [[102, 1]]
    assert [text.get_text() for text in axes.texts] == [" 2"]
    assert [label.get_text() for label in axes.get_yticklabels()] == list(rows)
