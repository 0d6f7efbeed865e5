"""Measure inference, as `Classifier.predict` runs it, beside PyTorch and onnxruntime.

  python -m benchmarks.inference
  python -m benchmarks.inference --batch_sizes=1,16,64,256 --checkout=ANOTHER_CLONE --out=FILE.json
  python -m benchmarks.inference --batch_sizes=256 --dtype=bfloat16 --peer=torch_compile,torch_cuda_graphs

A call takes a batch of uint8 images on the host, normalizes them, and returns the class probabilities to the
host. onnxruntime runs the network that `launch.export` writes, always in float32, with the
normalization added to its graph. torch_freezing is torch.compile with the weights as constants, which folds
batch normalization into the convolutions.

Each form runs in its own process. They take turns in rounds, and ratios are those within a round. Other
processes distort the result: if they used more than a tenth of the cores, the exit status is 3.
"""

import functools
from collections.abc import Sequence
from typing import Any

from absl import flags

from benchmarks.conditions import clone_at, write_result
from benchmarks.harness import command as harness
from benchmarks.harness.forms import Form
from benchmarks.harness.rounds import measure
from benchmarks.peers.options import TORCH_MODES, pixels_of
from flax_googlenet.config import resolve
from launch.common import command

VARIANTS = ("torchvision", "bvlc", "paper", "vgg16")
PEERS = (*TORCH_MODES, "torch_freezing", "onnxruntime")
IMAGES = 64  # in a round, at least

_VARIANT = flags.DEFINE_enum("variant", "torchvision", VARIANTS, "Variant of the network.")
_PEER = flags.DEFINE_list(
    "peer",
    ["torch_eager", "torch_compile", "onnxruntime"],
    f"Peers, of {', '.join(PEERS)}; none for none.",
)
_CHECKOUT = flags.DEFINE_string("checkout", "", "Another clone of the project to measure too.")
_BATCH_SIZES = flags.DEFINE_list("batch_sizes", ["1", "16"], "Numbers of images in a batch.")
_IMAGE_SIZE = flags.DEFINE_integer("image_size", 224, "Side of an image in pixels.", lower_bound=32)
_DTYPE = flags.DEFINE_enum("dtype", "float32", ["float32", "bfloat16"], "Dtype of the activations.")
_OUT = flags.DEFINE_string("out", None, "JSON file for the result.")
flags.adopt_module_key_flags(harness)


def main(arguments: Sequence[str]) -> dict[str, Any]:
    command.refuse_arguments(arguments)
    peers = harness.chosen("peer", _PEER.value, PEERS)
    settings = harness.settings()
    measurements = {
        str(size): functools.partial(
            measure, forms(size, peers), **{**settings, "calls": max(settings["calls"], IMAGES // size)}
        )
        for size in harness.whole_numbers("batch_sizes", _BATCH_SIZES.value)
    }
    result = {
        "variant": _VARIANT.value,
        "image_size": _IMAGE_SIZE.value,
        "dtype": _DTYPE.value,
        **harness.run_all(measurements, packages=("jaxlib", "torch", "torchvision", "onnxruntime")),
    }
    for size, measured in result["results"].items():
        harness.add_images_per_second(measured, int(size))
    write_result(_OUT.value, result)
    return result


def forms(batch_size: int, peers: Sequence[str]) -> list[Form]:
    """Return our forward pass, its peers and that of another commit."""
    model = {"variant": _VARIANT.value, "num_classes": 1000, "dtype": _DTYPE.value}
    options = {"model": model, "image_size": _IMAGE_SIZE.value, "batch_size": batch_size}
    pixels = pixels_of(resolve({"model": model}))
    build = "benchmarks.inference.classifier_forward:build"
    chosen = [Form("ours", build, options)]
    for peer in peers:
        if peer == "onnxruntime":
            chosen.append(
                Form(peer, "benchmarks.inference.onnxruntime_forward:build", {**options, "pixels": pixels})
            )
            continue
        freezing = peer == "torch_freezing"
        torch_options = {
            "variant": _VARIANT.value,
            "peer": "torch_compile" if freezing else peer,
            "image_size": _IMAGE_SIZE.value,
            "batch_size": batch_size,
            "dtype": _DTYPE.value,
            "pixels": pixels,
        }
        environment = {"TORCHINDUCTOR_FREEZING": "1"} if freezing else {}
        torch_build = "benchmarks.inference.torch_forward:build"
        chosen.append(Form(peer, torch_build, torch_options, environment=environment))
    if _CHECKOUT.value:
        chosen.append(Form("checkout", build, options, str(clone_at(_CHECKOUT.value))))
    return chosen


if __name__ == "__main__":
    command.run(main, exit_status=harness.exit_status)
