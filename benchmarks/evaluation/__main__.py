"""Measure the throughput of evaluation relative to the forward pass alone.

  python -m benchmarks.evaluation --crops=144
  python -m benchmarks.evaluation --crops=10 --images=64 --variant=torchvision --out=FILE.json

Evaluates a network with random weights on JPEG files of 500x375 pixels in memory, which includes decoding,
resizing, cropping and the metrics. Then runs the same number of crops, already normalized and on the device,
through the network alone, in batches of the same size. The two alternate.
"""

import statistics
import sys
import time
from collections.abc import Sequence
from typing import Any

import jax
import jax.numpy as jnp
from absl import flags

from benchmarks.conditions import conditions, write_result
from benchmarks.photographs import jpeg
from flax_googlenet.config import resolve
from flax_googlenet.data import Example
from flax_googlenet.data.images.crops import NUMBERS
from flax_googlenet.evaluation import Evaluator, Member
from flax_googlenet.evaluation.evaluate import CROPS_AT_ONCE
from flax_googlenet.models import build_model
from flax_googlenet.sharding import data_mesh, replicate, split_batch
from flax_googlenet.variants import VARIANTS
from launch.common import command

_CROPS = flags.DEFINE_enum("crops", "144", [str(number) for number in NUMBERS], "Crops of each image.")
_IMAGES = flags.DEFINE_integer("images", 8, "Images to evaluate.", lower_bound=1)
_BATCH_SIZE = flags.DEFINE_integer("batch_size", 96, "Crops per forward pass.", lower_bound=1)
_VARIANT = flags.DEFINE_enum("variant", "bvlc", list(VARIANTS), "The network.")
_ROUNDS = flags.DEFINE_integer("rounds", 3, "Number of measurements.", lower_bound=1)
_SIZE = flags.DEFINE_integer("image_size", 224, "Side of a crop in pixels.", lower_bound=32)
_OUT = flags.DEFINE_string("out", None, "JSON file for the result.")


class Photographs:
    """A source of JPEG files in memory."""

    class_names = tuple(map(str, range(1000)))
    digest = "photographs"

    def __init__(self, count: int) -> None:
        self._files = [jpeg(index) for index in range(count)]

    def __len__(self) -> int:
        return len(self._files)

    def __getitem__(self, index: int) -> Example:
        return Example(self._files[index], index % 1000, f"photograph {index}")


def main(arguments: Sequence[str]) -> dict[str, Any]:
    command.refuse_arguments(arguments)
    crops = int(_CROPS.value)
    config = resolve(
        {
            "model": {"variant": _VARIANT.value},
            # BVLC stretches images to squares, of whose 144 crops only 48 differ.
            "data": {"image_size": _SIZE.value, "resize": _SIZE.value * 8 // 7, "stretch": False},
        }
    )
    mesh = data_mesh()
    model = build_model(config.model)
    like = jnp.zeros((1, _SIZE.value, _SIZE.value, 3), jnp.float32)
    variables = jax.jit(model.init, out_shardings=replicate(mesh))(jax.random.key(0), like)
    evaluator = Evaluator(
        [Member(model, config.data)],
        Photographs(_IMAGES.value),
        mesh,
        batch_size=_BATCH_SIZE.value,
        number_of_crops=crops,
    )

    def logits_of(variables: Any, images: jax.Array) -> jax.Array:
        outputs: Any = model.apply(variables, images)
        return outputs["logits"]

    forward = jax.jit(logits_of)
    # Each forward pass of the evaluation contains all crops of an image, so batches are rounded up.
    at_once = CROPS_AT_ONCE[crops]
    size = -(-min(_BATCH_SIZE.value // at_once or 1, _IMAGES.value) // mesh.size) * mesh.size * at_once
    images = jax.device_put(jnp.zeros((size, *like.shape[1:]), jnp.float32), split_batch(mesh))
    passes = -(-_IMAGES.value * crops // size)

    def evaluate() -> float:
        started = time.perf_counter()
        evaluator([variables])
        return _IMAGES.value * crops / (time.perf_counter() - started)

    def run_forward() -> float:
        started = time.perf_counter()
        for _ in range(passes):
            logits = forward(variables, images)
        jax.block_until_ready(logits)
        return passes * size / (time.perf_counter() - started)

    evaluate(), run_forward()  # compile
    rates = []
    for number in range(_ROUNDS.value):
        rates.append((evaluate(), run_forward()))
        print(f"round {number + 1}: {rates[-1][0]:.1f} of {rates[-1][1]:.1f} crops/s", file=sys.stderr)
    result = {
        "crops": crops,
        "images": _IMAGES.value,
        "crops_per_second": round(statistics.median(rate for rate, _ in rates), 1),
        "forward_alone": round(statistics.median(rate for _, rate in rates), 1),
        "share": round(statistics.median(evaluated / forward for evaluated, forward in rates), 3),
        "conditions": conditions(),
    }
    write_result(_OUT.value, result)
    return result


if __name__ == "__main__":
    command.run(main)
