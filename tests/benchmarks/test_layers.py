import json

import jax
import numpy as np
import pytest
import torch

from benchmarks import tables
from benchmarks.layers import figures, ours, picture, torch_peer
from benchmarks.layers.cases import Case, Operation, network_cases
from benchmarks.layers.timing import Ceilings, Options, Timing
from flax_googlenet.config import resolve
from flax_googlenet.models import build_model
from flax_googlenet.models.summary import summarize
from tests.support.commands import run_module

OPTIONS = Options(batch_size=2, dtype="float32", seconds=0.0)

# A small layer of each operation.
CASES = (
    Case("convolution", "", Operation.CONVOLUTION, 7, 4, 5, 0, window=3, stride=2, padding=(1, 1)),
    Case("product", "1x1", Operation.CONVOLUTION, 7, 4, 5, 0),
    Case("max pool", "", Operation.MAX_POOL, 8, 4, 4, 0, window=3, stride=2, padding=(0, 1)),
    Case("max pool", "of a module", Operation.MAX_POOL, 8, 4, 4, 0, window=3, padding=(1, 1)),
    Case("LRN", "", Operation.LRN, 7, 6, 6, 0),
    Case("batch norm", "", Operation.BATCH_NORM, 7, 4, 4, 0),
    Case("module", "", Operation.INCEPTION, 7, 4, 14, 0, window=5, filters=(2, 3, 4, 1, 5, 3)),
    Case("module", "naive", Operation.INCEPTION, 7, 4, 14, 0, window=3, filters=(2, 0, 4, 0, 4, 0)),
    Case("head", "auxiliary", Operation.AUXILIARY, 14, 6, 10, 0, batch_norm=True),
    Case("average pool", "", Operation.AVERAGE_POOL, 7, 4, 4, 0, window=7),
    Case("head", "", Operation.LINEAR, 1, 6, 10, 0),
)


@pytest.fixture(scope="module")
def networks():
    names = ("paper", "torchvision", "naive", "vgg16")
    return {
        name: build_model(resolve({"model": {"variant": name, "num_classes": 10}}).model) for name in names
    }


@pytest.mark.parametrize("name", ["paper", "torchvision", "naive", "vgg16"])
def test_the_layers_do_the_multiply_adds_of_the_network(networks, name):
    cases = network_cases(networks[name], 224)
    summary = summarize(networks[name], 224)
    products = (Operation.CONVOLUTION, Operation.LINEAR)
    layers = [case for case in cases if case.operation in products]
    assert sum(case.flops for case in layers) == 2 * summary.multiply_adds
    for row in summary.rows:
        assert sum(case.flops for case in layers if case.row == row.name) == 2 * row.multiply_adds
    modules = {case.row: case.flops for case in cases if case.operation is Operation.INCEPTION}
    assert modules == {
        row.name: 2 * row.multiply_adds for row in summary.rows if row.name.startswith("inception")
    }
    heads = {case.row: case.flops for case in cases if case.operation is Operation.AUXILIARY}
    assert heads == {row.name: 2 * row.multiply_adds for row in summary.auxiliary}
    assert len({case.name for case in cases}) == len(cases)


@pytest.mark.parametrize(
    ("name", "operation", "expected"),
    [
        ("paper", Operation.LRN, {"pool1 LRN": "56² 64→64", "conv2 LRN": "56² 192→192"}),
        ("torchvision", Operation.LRN, {}),
        ("paper", Operation.BATCH_NORM, {}),
    ],
)
def test_normalization_stands_where_the_network_has_it(networks, name, operation, expected):
    cases = network_cases(networks[name], 224)
    assert {case.name: case.shape for case in cases if case.operation is operation} == expected


def test_batch_normalization_follows_every_convolution(networks):
    cases = network_cases(networks["torchvision"], 224)
    convolutions = [index for index, case in enumerate(cases) if case.operation is Operation.CONVOLUTION]
    norms = [index for index, case in enumerate(cases) if case.operation is Operation.BATCH_NORM]
    assert norms == [index + 1 for index in convolutions]
    assert all(cases[index].features == cases[index + 1].channels for index in convolutions)


def test_only_the_first_layer_has_no_gradient_of_its_input(networks):
    for network in networks.values():
        first, *others = (case for case in network_cases(network, 64) if "kernel gradient" in case.passes)
        assert set(first.passes) == {"forward", "kernel gradient"}
        assert all(set(case.passes) == {"forward", "input gradient", "kernel gradient"} for case in others)


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
def test_both_libraries_compute_the_same_shapes(case):
    layer, inputs, params = ours.build(case, OPTIONS)
    peer, peer_inputs, peer_params = torch_peer.build(case, OPTIONS)
    outputs = jax.eval_shape(layer, inputs, params)
    peer_outputs = peer(peer_inputs, peer_params)
    if peer_outputs.ndim == 4:
        peer_outputs = peer_outputs.permute(0, 2, 3, 1)
    assert outputs.shape == tuple(peer_outputs.shape)
    assert outputs.shape[-1] == case.features
    assert sum(leaf.size for leaf in jax.tree.leaves(params)) == sum(leaf.numel() for leaf in peer_params)


@pytest.mark.parametrize("case", CASES[:4], ids=lambda case: case.name)
def test_both_libraries_compute_the_same_values(case):
    layer, inputs, params = ours.build(case, OPTIONS)
    peer, _, _ = torch_peer.build(case, OPTIONS)
    expected = peer(
        torch.tensor(np.asarray(inputs)).permute(0, 3, 1, 2),
        [torch.tensor(np.asarray(leaf)).permute(3, 2, 0, 1) for leaf in jax.tree.leaves(params)],
    )
    outputs = layer(inputs=inputs, params=params)
    np.testing.assert_allclose(outputs, expected.permute(0, 2, 3, 1), rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("library", [ours, torch_peer], ids=lambda library: library.__name__)
@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
def test_every_pass_is_measured(library, case):
    timings = library.measure(case, OPTIONS)
    assert list(timings) == list(case.passes)
    assert all(timing.seconds > 0 for timing in timings.values())


def test_the_bytes_are_those_of_the_arrays_that_a_pass_reads_and_returns():
    timings = ours.measure(CASES[0], OPTIONS)
    inputs, kernel, outputs = 2 * 7 * 7 * 4, 3 * 3 * 4 * 5, 2 * 4 * 4 * 5
    total = 4 * (inputs + kernel + outputs)
    assert {name: timing.bytes for name, timing in timings.items()} == dict.fromkeys(timings, total)


@pytest.mark.parametrize("library", [ours, torch_peer], ids=lambda library: library.__name__)
def test_activations_can_be_bfloat16(library):
    options = Options(batch_size=2, dtype="bfloat16", seconds=0.0)
    assert library.build(CASES[0], options)[1].dtype.itemsize == 2
    assert set(library.measure(CASES[6], options)) == {"forward", "backward"}


@pytest.fixture
def result(networks):
    """The result of passes that take 2 ms, and 1 ms in torch, whatever they do."""
    cases = network_cases(networks["paper"], 224)
    measured = [
        {
            library: dict.fromkeys(case.passes, Timing(seconds, 10**6))
            for library, seconds in (("ours", 2e-3), ("torch", 1e-3))
        }
        for case in cases
    ]
    ceilings = [Ceilings(1e11, 1e10, "cpu"), Ceilings(4e11, 2e9, "cpu")]
    conditions = {"commit": "abc", "dirty": False, "versions": {"jax": "1"}, "load_average": 0.1}
    conditions |= {"device": "1 x cpu", "cores": 2, "machine": "x86_64"}
    settings = {"variant": "paper", "batch_size": 16, "image_size": 224, "dtype": "float32"}
    return {**settings, **figures.result(cases, measured, ceilings, 16), "conditions": conditions}


def test_the_figures_of_a_pass_follow_from_its_time_and_the_highest_ceilings(result):
    assert result["ceilings"] == {"gflop_per_second": 400.0, "gb_per_second": 10.0}
    by_name = {row["name"]: row for row in result["rows"]}
    flops = 16 * 2 * 56 * 56 * 64 * 192 * 9
    assert by_name["conv2"]["passes"]["input gradient"] == pytest.approx(
        {
            "ms": 2.0,
            "gflop_per_second": flops / 2e-3 / 1e9,
            "gb_per_second": 0.5,
            "flop_per_byte": flops / 1e6,
            "roof_ms": flops / 4e11 * 1e3,
            "share_of_roof": flops / 4e11 / 2e-3,
            "torch_ms": 1.0,
        },
        rel=1e-3,
    )
    assert by_name["pool4"]["passes"]["forward"]["roof_ms"] == pytest.approx(0.1)  # 10^6 bytes at 10 GB/s
    assert by_name["inception_3a"]["passes"]["backward"]["gflop_per_second"] == pytest.approx(
        2 * by_name["inception_3a"]["passes"]["forward"]["gflop_per_second"], rel=1e-3
    )


def test_the_totals_count_no_layer_twice(result):
    passes = [
        (row["kind"], name, figures) for row in result["rows"] for name, figures in row["passes"].items()
    ]
    for name, total in result["totals"]["all layers"].items():
        assert total["ms"] == 2 * sum(kind != "module" and name == other for kind, other, _ in passes)
        assert total["torch_ms"] == total["ms"] / 2
    assert result["totals"]["module"]["backward"]["ms"] == 2 * 9


def test_the_picture_has_a_mark_for_every_pass_and_no_label_over_another(result):
    figure = picture.draw(result)
    drawn = sum(line.get_marker() != "None" for axes in figure.axes for line in axes.lines)
    assert drawn == sum(len(row["passes"]) for row in result["rows"] if row["kind"] != "module")
    for axes in figure.axes:
        labels = [text for text in axes.texts if "/s" not in text.get_text()]
        assert 0 < len(labels) <= picture.LABELS
        boxes = [text.get_window_extent() for text in axes.texts]
        assert all(box.count_overlaps(boxes) == 1 for box in boxes), "each overlaps itself only"


def test_the_tables_have_every_layer(result):
    text = tables.layers(result)
    assert "Ceilings: 400 GFLOP/s and 10.0 GB/s." in text
    assert "| pool4 | 14² 832→832 | 5.2 | 2.00 ms (torch 1.00), 0.5 GB/s, 5% |" in text
    lines = text.splitlines()
    assert all(any(line.startswith(f"| {row['name']} | ") for line in lines) for row in result["rows"])


@pytest.mark.usefixtures("quick_to_compile")
@pytest.mark.slow
def test_the_command_measures_the_rows_it_is_asked_for(tmp_path):
    out, drawn = tmp_path / "layers.json", tmp_path / "roofline.png"
    arguments = ("--image_size=32", "--batch_size=2", "--seconds=0", "--rows=pool4,inception_5a")
    process = run_module(
        "benchmarks.layers", *arguments, "--peer=torch", f"--out={out}", f"--picture={drawn}"
    )
    assert process.returncode == 0, process.stderr
    result = json.loads(out.read_text())
    assert json.loads(process.stdout.splitlines()[-1]).keys() == {
        "ceilings", *result["totals"]["all layers"]
    }  # fmt: skip
    names = [row["name"].removeprefix("inception_5a ") for row in result["rows"]]
    assert names == ["pool4", "1x1", "3x3", "5x5 branch", "pool", "pool proj", "inception_5a"]
    assert all(figures["torch_ms"] > 0 for row in result["rows"] for figures in row["passes"].values())
    assert result["conditions"]["versions"].keys() >= {"Python", "jax", "torch"}
    assert drawn.read_bytes().startswith(b"\x89PNG")


def test_a_row_that_the_network_does_not_have_is_refused():
    process = run_module("benchmarks.layers", "--rows=inception_3c")
    assert process.returncode == 1
    assert "error: paper has no row inception_3c; did you mean" in process.stderr
