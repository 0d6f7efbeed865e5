import re

import pytest

from flax_googlenet.config import resolve
from flax_googlenet.models import VGG16, GoogLeNet, build_model
from flax_googlenet.models.summary import compare, summarize
from flax_googlenet.table import RowKind
from flax_googlenet.variants import VARIANTS


@pytest.fixture(scope="module")
def paper():
    return summarize(GoogLeNet(), 224)


def test_totals(paper):
    assert (paper.params, paper.params_with_aux) == (6_998_552, 13_378_280)
    assert sum(row.depth for row in paper.rows) == 22
    assert 1.58e9 < paper.multiply_adds < 1.59e9


def test_marks_figures_of_the_paper_that_its_filters_do_not_give(paper):
    rows = {row.name: row for row in paper.rows}
    assert rows["inception_3a"].weights == 163_328
    assert {name for name, row in rows.items() if row.ops_disagree} == {"conv1", "inception_5a"}
    agree = {name for name, row in rows.items() if row.paper.params and not row.params_disagree}
    assert agree == {"conv2", "inception_3a", "head"}
    assert not any(row.output_disagrees or row.depth_disagrees for row in paper.rows)


def test_filters_are_read_from_the_module(paper):
    for row in paper.rows:
        if row.kind is RowKind.INCEPTION:
            assert row.filters == row.paper.filters
    assert next(row for row in paper.rows if row.name == "conv2").filters[1:3] == (64, 192)


@pytest.mark.parametrize("variant", VARIANTS)
@pytest.mark.parametrize("options", [{}, {"stem_reduce": False}], ids=str)
def test_markdown_lines_up_and_fits_a_terminal(variant, options):
    if variant == "vgg16" and options:
        options = {"normalization": "batch"}
    model = build_model(resolve({"model": {"variant": variant, **options}}).model)
    text = summarize(model, 224).to_markdown()
    lines = [line for line in text.splitlines() if line.startswith("|")]
    assert len({len(line) for line in lines}) == 1
    assert len({line.count("|") for line in lines}) == 1
    assert re.fullmatch(r"\|-+\|(-+:\|)+", lines[1])
    assert max(map(len, text.splitlines())) <= 120


def test_printed_rows(paper):
    rows = {
        line.split("|")[1].strip(): line.split("|")[2:-1]
        for line in paper.to_markdown().splitlines()
        if "|" in line
    }
    cells = {name: [cell.strip() for cell in row] for name, row in rows.items()}
    filters = ["64", "96→128", "16→32", "32"]
    assert cells["inception_3a"] == ["", "28x28x256", "2", *filters, "163,696", "159K", "128.0M", "128M"]
    assert cells["inception_5a"][-4:] == ["1,043,456", "1072K≠", "51.1M", "54M≠"]
    assert cells["conv2"][:5] == ["3x3/1", "56x56x192", "2", "", "64→192"]
    assert cells["total"][-4:] == ["6,998,552", "", "1,582.7M", ""]


@pytest.mark.parametrize(
    ("variant", "params", "multiply_adds"),
    [
        ("paper", 6_998_552, 1_582_671_872),
        ("bvlc", 6_998_552, 1_582_671_872),
        ("torchvision", 6_624_904, 1_498_376_192),  # 1.498 in torchvision's metadata
        ("bn", 7_005_832, 1_582_671_872),
        ("naive", 97_526_008, 12_568_061_056),
        ("vgg16", 138_357_544, 15_470_264_320),  # torchvision: 15.47
    ],
)
def test_variants_by_name(variant, params, multiply_adds):
    summary = summarize(build_model(resolve({"model": {"variant": variant}}).model), 224)
    assert (summary.params, summary.multiply_adds) == (params, multiply_adds)
    assert summary.params_with_aux - params == {"torchvision": 6_379_984, "bn": 6_379_984, "vgg16": 0}.get(
        variant, summary.params_with_aux - params if variant == "naive" else 6_379_728
    )


def test_activations_are_the_outputs_of_layers():
    """The expected number comes from the shapes in the paper of VGG-16."""
    sides = {224: 64, 112: 128, 56: 256, 28: 512, 14: 512}
    depths = (2, 2, 3, 3, 3)
    maps = sum(
        side * side * features * depth + (side // 2) ** 2 * features
        for (side, features), depth in zip(sides.items(), depths, strict=True)
    )
    assert summarize(VGG16(), 224).activation_bytes == 4 * (maps + 4096 + 4096 + 1000)


def test_googlenet_has_a_twentieth_of_the_parameters_of_vgg16(paper):
    lines = compare(("paper", paper), ("vgg16", summarize(VGG16(), 224))).splitlines()
    assert "| 1/19.8 |" in next(line for line in lines if "parameters" in line)


@pytest.mark.parametrize(
    ("options", "params"),
    [
        ({"stem_reduce": False}, 6_994_392),
        ({"normalization": "batch"}, 7_005_832),
        ({"num_classes": 10}, 5_983_802),
    ],
)
def test_variants(options, params):
    assert summarize(GoogLeNet(**options), 224).params == params


def test_naive_modules_are_one_layer_deep():
    summary = summarize(GoogLeNet(reduce3x3=False, reduce5x5=False, project_pool=False), 224)
    modules = [row for row in summary.rows if row.kind is RowKind.INCEPTION]
    assert {row.depth for row in modules} == {1}
    assert all(row.output_disagrees and row.depth_disagrees for row in modules)


def test_other_sizes_have_no_columns_of_the_paper():
    summary = summarize(GoogLeNet(), 56)
    assert "paper" not in summary.to_markdown()
    assert summary.params == 6_998_552
