import pytest

from flax_googlenet.models import GoogLeNet
from flax_googlenet.models.summary import summarize


@pytest.fixture(scope="module")
def paper():
    return summarize(GoogLeNet(), 224)


def test_totals(paper):
    assert (paper.params, paper.params_with_aux) == (6_998_552, 13_378_280)
    assert sum(row.depth for row in paper.rows) == 22
    assert 1.58e9 < paper.multiply_adds < 1.59e9


def test_marks_where_the_paper_disagrees_with_itself(paper):
    rows = {row.name: row for row in paper.rows}
    assert rows["inception_3a"].weights == 163_328
    assert {name for name, row in rows.items() if row.ops_disagree} == {"conv1", "inception_5a"}
    agree = {name for name, row in rows.items() if row.paper.params and not row.params_disagree}
    assert agree == {"conv2", "inception_3a", "head"}
    assert not any(row.output_disagrees or row.depth_disagrees for row in paper.rows)


def test_filters_are_read_from_the_module(paper):
    for row in paper.rows:
        if row.kind == "inception":
            assert row.filters == row.paper.filters
    assert next(row for row in paper.rows if row.name == "conv2").filters[1:3] == (64, 192)


def test_markdown_lines_up(paper):
    lines = [line for line in paper.to_markdown().splitlines() if line.startswith("|")]
    assert len({len(line) for line in lines}) == 1
    assert len({line.count("|") for line in lines}) == 1


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


def test_naive_is_one_layer_a_module():
    summary = summarize(GoogLeNet(dimension_reduction=False), 224)
    modules = [row for row in summary.rows if row.kind == "inception"]
    assert {row.depth for row in modules} == {1}
    assert all(row.output_disagrees and row.depth_disagrees for row in modules)


def test_other_sizes_have_no_column_of_the_papers():
    summary = summarize(GoogLeNet(), 56)
    assert "paper" not in summary.to_markdown()
    assert summary.params == 6_998_552
