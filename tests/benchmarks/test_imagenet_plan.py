import json

import pytest

from benchmarks import tables
from benchmarks.imagenet_plan import estimate
from benchmarks.layers.cases import Case, Operation, network_cases
from benchmarks.layers.timing import Ceilings
from flax_googlenet.config import resolve
from flax_googlenet.errors import UserError
from flax_googlenet.models import build_model
from flax_googlenet.models.summary import summarize
from tests.support.commands import result_of, run_module


@pytest.mark.parametrize("recipe", estimate.RECIPES)
def test_the_operations_are_those_of_the_network(recipe):
    """Training takes three products per convolution, but no gradient of the images."""
    planned = estimate.plan(recipe, 1.0, {})
    config = resolve({"model": {"variant": planned["variant"], "num_classes": 1000}})
    summary = summarize(build_model(config.model), planned["image_size"])
    rows = (*summary.rows, *summary.auxiliary)
    products = 2e-9 * (3 * sum(row.multiply_adds for row in rows) - summary.rows[0].multiply_adds)
    assert planned["gflop_per_image"] == pytest.approx(products, rel=0.02), "2% for everything else"


def test_the_table_of_the_docs_is_that_of_the_recipes():
    """`python -m benchmarks.imagenet_plan` and `python -m benchmarks.tables` write it."""
    written = json.loads((tables.RESULTS / "imagenet_plan.json").read_text(encoding="utf-8"))
    planned = {name: estimate.plan(name, written["share"], {}) for name in estimate.RECIPES}
    assert planned == written["recipes"]


def test_hours_follow_from_the_rate():
    planned = estimate.plan("bvlc", 1.0, {"h100": 1000.0})
    one, eight, other = planned["machines"].values()
    images = 60 * estimate.TRAINING_IMAGES
    assert one["hours"] == pytest.approx(images / 1000 / 3600, rel=0.01)
    assert one["dollars"] == eight["dollars"]
    assert eight["images_per_second"] == 8000
    assert eight["cores"]["files"] == 13  # 8000 / 642.5
    assert other["images_per_second"] == pytest.approx(16 * other["roof_images_per_second"], rel=0.01)


@pytest.mark.parametrize(
    ("operations", "bandwidth", "seconds"),
    [
        pytest.param(10.0, 1e9, 3 * 2 * 16 * 9 * 6 / 10.0, id="operations"),
        pytest.param(1e9, 10.0, 3 * 2 * (16 * 2 + 16 * 3 + 54 / 4) / 10.0, id="bytes"),
    ],
)
def test_the_roof_of_a_convolution(operations, bandwidth, seconds):
    flops = 2 * 16 * 9 * 2 * 3
    case = Case("conv", "", Operation.CONVOLUTION, 4, 2, 3, flops, window=3, padding=(1, 1))
    assert estimate.seconds(case, Ceilings(operations, bandwidth, ""), 4) == pytest.approx(seconds)


def test_a_module_is_its_layers():
    cases = network_cases(build_model(resolve({"model": {"num_classes": 10}}).model), 64)
    modules = [case for case in cases if case.operation is Operation.INCEPTION]
    assert len(modules) == 9
    assert not any(estimate.seconds(case, Ceilings(1.0, 1.0, ""), 1) for case in modules)


@pytest.mark.parametrize(
    ("rate", "words"),
    [
        ("h10=9000", '--images_per_second has no chip "h10"; did you mean "h100"?'),
        ("h100", '"h100" in --images_per_second is no rate; write h100=9000, for example.'),
        ("v5e=nan", '"v5e=nan" in --images_per_second is no rate'),
    ],
)
def test_a_rate_that_is_none_is_refused(rate, words):
    with pytest.raises(UserError) as caught:
        estimate.rates([rate])
    assert words in str(caught.value)


@pytest.mark.slow
def test_the_command_writes_the_table(tmp_path):
    out = tmp_path / "plan.json"
    process = run_module("benchmarks.imagenet_plan", "--images_per_second=h100=1000,v5e=100", f"--out={out}")
    result = json.loads(out.read_text())
    machines = {name: recipe["machines"] for name, recipe in result["recipes"].items()}
    assert result_of(process)["hours"] == {name: of["one H100"]["hours"] for name, of in machines.items()}
    figures = machines["modern"]["eight H100s"]
    assert figures["images_per_second"] == 8000
    row = f"| eight H100s | {figures['roof_images_per_second']:,.0f} | 8,000 | {figures['hours']:g} |"
    assert row in tables.imagenet_plan(result)
