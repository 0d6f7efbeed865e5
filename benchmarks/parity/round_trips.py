"""Round trips: exports to other frameworks' files, run there, and imported again."""

import pathlib
import subprocess
import sys
from collections.abc import Iterator
from typing import Any

import jax
import numpy as np
import onnxruntime
import torch
import torchvision

import flax_googlenet
from benchmarks.parity.comparison import Comparison, channels_first, compare
from benchmarks.random_weights import random_checkpoint
from flax_googlenet.interop import export, import_weights, layout
from flax_googlenet.interop.exporting import inference
from flax_googlenet.interop.torchvision_weights import NAMES


def normalized_logits(classifier: flax_googlenet.Classifier, x: np.ndarray) -> np.ndarray:
    """Return the logits of images that are already normalized."""
    apply: Any = jax.jit(classifier.model.apply)
    return np.asarray(apply(classifier.variables, x)["logits"])


def round_trip_torchvision(directory: pathlib.Path) -> Iterator[Comparison]:
    """Export to torchvision's state dict, compare the logits there, and import it again."""
    ours = random_checkpoint(directory / "torchvision", 224, variant="torchvision")
    file = export(ours, "torchvision", str(directory / "googlenet.pth"))
    peer = torchvision.models.googlenet(weights=None, aux_logits=True, init_weights=False)
    peer.load_state_dict(torch.load(file, weights_only=True), strict=True)
    x = np.random.default_rng(2).uniform(-1, 1, (2, 224, 224, 3)).astype(np.float32)
    with torch.no_grad():
        expected = peer.eval()(channels_first(x))
    logits = normalized_logits(ours, x)
    yield compare("ours -> torchvision's model: logits", {"logits": logits}, {"logits": expected})
    import_weights("torchvision", str(file), str(directory / "again"))
    again = flax_googlenet.load(directory / "again")
    before, after = (layout.to_tensors(classifier.variables, NAMES) for classifier in (ours, again))
    yield compare("ours -> torchvision's file -> ours: every array", after, before, tolerance=0.0)


# Every switch at least once, on small images, since onnxruntime itself is not under test.
EXPORTED: dict[str, dict[str, Any]] = {
    "paper": {"variant": "paper"},
    "bvlc": {"variant": "bvlc"},
    "torchvision": {"variant": "torchvision"},
    "bn": {"variant": "bn", "conv_padding": "same", "pool_rounding": "floor"},
    "naive": {"variant": "naive", "num_classes": 10},
    "vgg16": {"variant": "vgg16", "num_classes": 10},
    "fully connected": {"head": "fully_connected", "normalization": "none", "stem_reduce": False},
}


def round_trip_onnx(directory: pathlib.Path, size: int = 64) -> Iterator[Comparison]:
    """Export every variant to ONNX and compare logits and probabilities in onnxruntime."""
    for name, options in EXPORTED.items():
        ours = random_checkpoint(directory / f"onnx-{name}", size, **options)
        file = export(ours, "onnx", str(directory / f"{name}.onnx"))
        x = np.random.default_rng(3).uniform(-1, 1, (3, size, size, 3)).astype(np.float32)
        logits = normalized_logits(ours, x)
        outputs = onnxruntime.InferenceSession(file).run(None, {"data_0": channels_first(x).numpy()})
        yield compare(
            f"ours -> ONNX in onnxruntime: {name}",
            {"logits": logits, "prob_1": jax.nn.softmax(logits)},
            dict(zip(("logits", "prob_1"), outputs, strict=True)),
        )


_CALL_STABLEHLO = """
import sys
import jax.export, numpy as np
exported = jax.export.deserialize(open(sys.argv[1], "rb").read())
np.savez(sys.argv[3], **exported.call(np.load(sys.argv[2])))
"""


def round_trip_stablehlo(directory: pathlib.Path, size: int = 64) -> Iterator[Comparison]:
    """Export to StableHLO, call it in a new process and compare bit for bit."""
    for variant in ("bvlc", "torchvision"):
        ours = random_checkpoint(directory / f"stablehlo-{variant}", size, variant=variant)
        file = export(ours, "stablehlo", str(directory / f"{variant}.stablehlo"))
        images = np.random.default_rng(4).integers(0, 256, (3, size, size, 3), dtype=np.uint8)
        expected = jax.device_get(jax.jit(inference(ours))(images))
        np.save(directory / "images.npy", images)
        arguments = [str(file), str(directory / "images.npy"), str(directory / "outputs.npz")]
        subprocess.run([sys.executable, "-c", _CALL_STABLEHLO, *arguments], check=True)
        outputs = dict(np.load(directory / "outputs.npz"))
        yield compare(f"ours -> StableHLO in a new process: {variant}", outputs, expected, tolerance=0.0)
