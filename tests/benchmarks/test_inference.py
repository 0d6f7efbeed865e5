import json

import numpy as np
import pytest

from benchmarks.inference import classifier_forward, onnxruntime_forward, torch_forward
from benchmarks.peers.options import pixels_of
from flax_googlenet.config import resolve
from tests.support.commands import run_module

pytestmark = pytest.mark.slow


@pytest.mark.parametrize("variant", ["torchvision", "bvlc"])
def test_onnxruntime_computes_what_ours_does(variant):
    options = {"model": {"variant": variant, "num_classes": 1000}, "image_size": 64, "batch_size": 2}
    pixels = pixels_of(resolve({"model": options["model"]}))
    expected = classifier_forward.build(**options).call()
    assert expected.shape == (2, 1000)
    np.testing.assert_allclose(expected.sum(axis=1), 1, rtol=1e-5)
    peer = onnxruntime_forward.build(**options, pixels=pixels).call()
    np.testing.assert_allclose(peer, expected, rtol=0, atol=1e-4 * expected.max())


def test_pytorch_returns_probabilities():
    pixels = pixels_of(resolve({"model": {"variant": "torchvision"}}))
    workload = torch_forward.build("torchvision", "torch_eager", 64, 2, "float32", pixels)
    np.testing.assert_allclose(workload.call().sum(axis=1), [1, 1], rtol=1e-5)


@pytest.mark.usefixtures("quick_to_compile")
def test_the_command_measures_inference_beside_its_peers(tmp_path):
    out = tmp_path / "result.json"
    process = run_module(
        "benchmarks.inference",
        "--image_size=64",
        "--batch_sizes=1,2",
        "--rounds=1",
        "--calls=1",
        "--peer=torch_eager,onnxruntime",
        f"--out={out}",
    )
    assert process.returncode in (0, 3), process.stderr  # 3 is that of a busy machine
    result = json.loads(process.stdout.splitlines()[-1])
    assert json.loads(out.read_text()) == result
    assert list(result["results"]) == ["1", "2"]
    for size, measured in result["results"].items():
        assert list(measured["forms"]) == ["ours", "torch_eager", "onnxruntime"]
        assert measured["ratios"].keys() == {"torch_eager", "onnxruntime"}
        for form in measured["forms"].values():
            assert form["images_per_second"] == pytest.approx(int(size) / form["seconds"], abs=0.01)
            assert form["p50_seconds"] <= form["p99_seconds"]


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--peer=torch_eagr"], '--peer has no choice "torch_eagr"; did you mean "torch_eager"'),
        (["--batch_sizes=1,x"], '--batch_sizes has the value "x"; it must be whole numbers above 0'),
        (["--checkout=/nowhere"], "/nowhere is not a clone of the project"),
    ],
)
def test_mistakes_are_refused(arguments, message):
    process = run_module("benchmarks.inference", *arguments)
    assert process.returncode == 1
    assert message in process.stderr
