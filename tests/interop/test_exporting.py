import json

import jax.export
import numpy as np
import onnxruntime
import pytest
import safetensors
import torch
import torchvision

import flax_googlenet
from benchmarks.random_weights import random_checkpoint
from flax_googlenet.errors import UserError
from flax_googlenet.interop import export, import_weights
from flax_googlenet.interop.exporting import PLATFORMS
from tests.support.weights import arrays, assert_same

SIZE = 64


@pytest.fixture(scope="module")
def directory(tmp_path_factory):
    return tmp_path_factory.mktemp("exported")


@pytest.fixture(scope="module")
def bvlc(directory):
    return random_checkpoint(directory / "bvlc", SIZE, variant="bvlc", aux_heads=0)


@pytest.fixture(scope="module")
def five(directory):
    """torchvision's network with five classes and no auxiliary heads."""
    return random_checkpoint(directory / "five", SIZE, variant="torchvision", aux_heads=0, num_classes=5)


def test_safetensors_are_imported_unchanged(directory, five):
    file = export(five, "safetensors", str(directory / "five.safetensors"))
    with safetensors.safe_open(file, framework="numpy") as opened:
        assert "inception_3a.conv5x5.conv.kernel" in opened.keys()  # noqa: SIM118
        assert json.loads(opened.metadata()["flax_googlenet.class_names"]) == ["0", "1", "2", "3", "4"]
    import_weights("safetensors", str(file), str(directory / "five again"))
    again = flax_googlenet.load(directory / "five again")
    assert_same(arrays(again.checkpoint), arrays(five.checkpoint))
    assert (again.config, again.class_names) == (five.config, five.class_names)


@pytest.mark.parametrize("suffix", [".pth", ".safetensors"])
def test_torchvision_loads_a_network_without_auxiliary_heads(directory, five, suffix):
    file = export(five, "torchvision", str(directory / f"five_theirs{suffix}"))
    peer = torchvision.models.googlenet(weights=None, aux_logits=False, init_weights=False, num_classes=5)
    loaded = torch.load(file, weights_only=True) if suffix == ".pth" else safetensors.torch.load_file(file)
    peer.load_state_dict(loaded, strict=True)


def test_onnx_files_are_in_the_model_zoos_form(directory, bvlc):
    file = export(bvlc, "onnx", str(directory / "bvlc.onnx"))
    session = onnxruntime.InferenceSession(file)
    for batch in (1, 4):
        probabilities = session.run(["prob_1"], {"data_0": np.zeros((batch, 3, SIZE, SIZE), np.float32)})[0]
        assert probabilities.shape == (batch, 1000)
    properties = session.get_modelmeta().custom_metadata_map
    assert json.loads(properties["config"])["data"]["channel_order"] == "bgr"
    import_weights("onnx", str(file), str(directory / "bvlc again"))
    assert_same(arrays(directory / "bvlc again"), arrays(bvlc.checkpoint))
    assert flax_googlenet.load(directory / "bvlc again").config.model == bvlc.config.model


def test_stablehlo_runs_batches_of_any_size_on_every_platform(directory, five):
    exported = jax.export.deserialize(
        bytearray(export(five, "stablehlo", str(directory / "five.stablehlo")).read_bytes())
    )
    assert exported.platforms == PLATFORMS
    for batch in (1, 3):
        outputs = exported.call(np.zeros((batch, SIZE, SIZE, 3), np.uint8))
        assert outputs["probabilities"].shape == (batch, 5)


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"variant": "bn", "pool4_window": 2}, "its aux_pooling is paper, torchvision's adaptive"),
        ({"variant": "bn", "aux_heads": 0}, "its pool4_window is 3, torchvision's 2; export it as onnx"),
        ({"variant": "bvlc", "aux_heads": 0}, "its normalization is lrn, torchvision's batch"),
        ({"variant": "torchvision", "aux_heads": 1}, "has one auxiliary head"),
    ],
)
def test_networks_that_torchvision_cannot_hold_are_refused(tmp_path, options, words):
    ours = random_checkpoint(tmp_path / "ours", 32, num_classes=3, **options)
    with pytest.raises(UserError) as caught:
        export(ours, "torchvision", str(tmp_path / "theirs.pth"))
    assert words in str(caught.value)
    assert {path.name for path in tmp_path.iterdir()} == {"ours"}


def test_mistakes_are_named(five, tmp_path):
    with pytest.raises(UserError, match='did you mean "onnx"'):
        export(five, "onx", str(tmp_path / "x"))
    (tmp_path / "taken").write_text("a file")
    with pytest.raises(UserError, match=r"Cannot write .*taken/x"):
        export(five, "safetensors", str(tmp_path / "taken/x"))
