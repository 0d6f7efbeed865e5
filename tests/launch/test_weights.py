"""Import and export, each command in its own process, on files that torchvision wrote."""

import shutil

import numpy as np
import PIL.Image
import pytest
import torch
import torchvision
from sklearn.datasets import load_sample_images

from benchmarks.parity.torchvision import torchvision_model
from tests.support.commands import error_of, result_of
from tests.support.files import contents

pytestmark = pytest.mark.slow

NAMES = ("cat", "dog", "flower", "pagoda")  # in the order of the directories
CLASSES = len(NAMES)


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return tmp_path_factory.mktemp("weights")


@pytest.fixture(scope="module")
def peer():
    return torchvision_model(num_classes=CLASSES).eval()


@pytest.fixture(scope="module")
def imported(launch, folder, peer):
    torch.save(peer.state_dict(), folder / "googlenet.pth")
    names = folder / "names.txt"
    names.write_text("".join(f"{name}\n" for name in NAMES))
    process = launch(
        "import_weights",
        "--source=torchvision",
        f"--path={folder / 'googlenet.pth'}",
        f"--class_names={names}",
        f"--out={folder / 'imported'}",
    )
    result = result_of(process)
    assert result == {
        "params": 6_624_904 - (1000 - CLASSES) * 1025,
        "checkpoint": str(folder / "imported/checkpoints/0"),
        "missing": [],
        "unused": [],
    }
    return folder / "imported"


def test_predict_gives_torchvisions_probabilities(launch, imported, peer):
    files = load_sample_images().filenames
    images = result_of(launch("predict", f"--checkpoint={imported}", "--top=1000", *files))["images"]
    transform = torchvision.models.GoogLeNet_Weights.IMAGENET1K_V1.transforms()
    for file, image in zip(files, images, strict=True):
        with torch.no_grad():
            expected = torch.softmax(peer(transform(PIL.Image.open(file))[None])[0], dim=0).numpy()
        ours = {row["label"]: row["probability"] for row in image["classes"]}
        np.testing.assert_allclose([ours[label] for label in range(CLASSES)], expected, rtol=1e-4, atol=0)
        best = image["classes"][0]
        assert best["name"] == NAMES[expected.argmax()]


def test_evaluate_needs_nothing_but_images(launch, imported, folder):
    for name in NAMES:
        (folder / "images/val" / name).mkdir(parents=True)
        for i, file in enumerate(load_sample_images().filenames):
            shutil.copy(file, folder / f"images/val/{name}/{i}.jpg")
    result = result_of(
        launch("evaluate", f"--checkpoint={imported}", f"--config.data.path={folder / 'images'}")
    )
    # Each photograph lies in all four classes, so every prediction is right once in four.
    assert (result["num_examples"], result["top1"], result["top5"]) == (8, 0.25, 1.0)


@pytest.mark.parametrize(
    ("form", "name"),
    [
        ("safetensors", "ours.safetensors"),
        ("torchvision", "theirs.pth"),
        ("onnx", "graph.onnx"),
        ("stablehlo", "program.stablehlo"),
    ],
)
def test_every_format_is_exported(launch, imported, folder, peer, form, name):
    out = folder / "out" / name
    result = result_of(launch("export", f"--checkpoint={imported}", f"--format={form}", f"--out={out}"))
    assert result == {"path": str(out), "format": form, "bytes": out.stat().st_size}
    if form == "torchvision":
        written = torch.load(out, weights_only=True)
        assert written.keys() == peer.state_dict().keys()
        for key, value in peer.state_dict().items():
            assert torch.equal(written[key], value), key


def test_imported_weights_cannot_be_resumed(run_here, imported):
    before = contents(imported)
    process = run_here("train", f"--workdir={imported}")
    assert f"start from them with init_from={imported}" in error_of(process)
    assert contents(imported) == before | {str(imported / ".lock"): b""}


@pytest.mark.parametrize(
    ("arguments", "status", "words"),
    [
        (["--source=torchvision"], 2, "--out"),
        (["--source=tensorflow", "--out={new}"], 2, "torchvision"),
        (
            ["--source=torchvision", "--path={half}", "--out={new}"],
            1,
            "{half} cannot be read",
        ),
        (
            ["--source=torchvision", "--path={resnet}", "--out={new}"],
            1,
            "{resnet} is not torchvision's GoogLeNet: it lacks conv1.conv.weight",
        ),
        (["--source=onnx", "--path={resnet}", "--out={new}"], 1, "{resnet} cannot be read"),
        (
            ["--source=torchvision", "--path={whole}", "--out={taken}"],
            1,
            "{taken} holds a checkpoint",
        ),
        (["--source=torchvision", "--path={whole}", "--class_names=/no", "--out={new}"], 1, "--class_names"),
    ],
)
def test_mistakes_are_named(run_here, imported, folder, tmp_path, arguments, status, words):
    whole = folder / "googlenet.pth"
    half, resnet, new = tmp_path / "half.pth", tmp_path / "resnet.pth", tmp_path / "new"
    half.write_bytes(whole.read_bytes()[: 1 << 20])
    torch.save(torchvision.models.resnet18().state_dict(), resnet)
    paths = {"half": half, "resnet": resnet, "new": new, "taken": imported, "whole": whole}
    process = run_here("import_weights", *(argument.format(**paths) for argument in arguments))
    assert words.format(**paths) in error_of(process, status)
    assert not new.exists()


def test_networks_that_a_format_cannot_hold_are_refused(run_here, trained, tmp_path):
    process = run_here(
        "export", f"--checkpoint={trained}", "--format=torchvision", f"--out={tmp_path / 'x.pth'}"
    )
    assert "is not torchvision's network" in error_of(process)
    assert not list(tmp_path.iterdir())


def test_an_exported_run_is_imported_unchanged(launch, trained, tmp_path):
    """A run that moves to another machine as one file evaluates to the same numbers."""
    out = tmp_path / "digits.safetensors"
    result_of(launch("export", f"--checkpoint={trained}", "--format=safetensors", f"--out={out}"))
    result_of(
        launch("import_weights", "--source=safetensors", f"--path={out}", f"--out={tmp_path / 'again'}")
    )
    before, after = (
        result_of(launch("evaluate", f"--checkpoint={path}")) for path in (trained, tmp_path / "again")
    )
    assert {**before, "checkpoint": ""} == {**after, "checkpoint": ""}
