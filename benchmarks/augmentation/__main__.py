"""Measure the cost of each augmentation relative to a train step without augmentation.

  python -m benchmarks.augmentation
  python -m benchmarks.augmentation --batch_size=256 --out=FILE.json

Each augmentation is timed as it runs in the step, compiled together with horizontal flips and normalization.
The first row has the time of those two alone, which is subtracted in the other rows.
"""

import sys
import time
from collections.abc import Callable, Sequence
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from absl import flags

from benchmarks.conditions import conditions, write_result
from flax_googlenet.config import resolve
from flax_googlenet.data.augmentation.pipeline import augment
from flax_googlenet.models import build_model
from flax_googlenet.sharding import data_mesh
from flax_googlenet.training.optimizer import build_optimizer
from flax_googlenet.training.state import initial_state
from flax_googlenet.training.step import make_train_step
from launch.common import command

_BATCH_SIZE = flags.DEFINE_integer("batch_size", 32, "Images in a batch.", lower_bound=2)
_IMAGE_SIZE = flags.DEFINE_integer("image_size", 224, "Side of an image in pixels.", lower_bound=32)
_OUT = flags.DEFINE_string("out", None, "JSON file for the result.")

OPTIONS: tuple[dict[str, Any], ...] = (
    {},
    {"photometric": 0.5},
    {"lighting": 0.1},
    {"randaugment": 1},
    {"randaugment": 2},
    {"mixup": 0.2},
    {"cutmix": 1.0},
    {"mixup": 0.2, "cutmix": 1.0},
    {"erasing": 0.25},
    {"erasing": 0.25, "erasing_fill": "mean"},
)
REPEATS = 5


def fastest(run: Callable[[int], Any], repeats: int = REPEATS) -> float:
    """Return the seconds of the fastest of several calls, after one call that compiles."""
    jax.block_until_ready(run(0))
    seconds = []
    for index in range(repeats):
        start = time.perf_counter()
        jax.block_until_ready(run(index))
        seconds.append(time.perf_counter() - start)
    return min(seconds)


def time_augmentation(options: dict[str, Any], images: jax.Array, labels: jax.Array) -> float:
    """Return the seconds that augmenting images and targets takes."""
    data = resolve({"data": options}).data

    @jax.jit
    def run(key: jax.Array, images: jax.Array, labels: jax.Array) -> Any:
        return augment(key, jax.random.split(key)[0], images, labels, data, 1000)

    return fastest(lambda index: run(jax.random.key(index), images, labels))


def time_step(images: jax.Array, labels: jax.Array) -> float:
    """Return the seconds of a train step of the paper's network without augmentation."""
    config = resolve({"batch_size": len(images), "data": {"image_size": images.shape[1]}})
    model = build_model(config.model)
    optimizer = build_optimizer(config.optimizer, lambda _: 0.01)
    step = make_train_step(config, model, optimizer, lambda _: 0.01, data_mesh(jax.devices()[:1]), 0)
    state = jax.jit(lambda: initial_state(config, model, optimizer))()

    def run(_: int) -> Any:
        nonlocal state  # the step donates its buffers
        state, metrics = step(state, {"image": images, "label": labels})
        return metrics

    return fastest(run, repeats=2)


def main(arguments: Sequence[str]) -> dict[str, Any]:
    command.refuse_arguments(arguments)
    rng = np.random.default_rng(0)
    shape = (_BATCH_SIZE.value, _IMAGE_SIZE.value, _IMAGE_SIZE.value, 3)
    images = jnp.asarray(rng.integers(0, 256, shape, dtype=np.uint8))
    labels = jnp.asarray(rng.integers(0, 1000, shape[0]), jnp.int32)
    step = time_step(images, labels)
    print(f"a train step of {shape[0]} images: {1e3 * step:.1f} ms", file=sys.stderr)
    plain = 0.0
    shares = {}
    for options in OPTIONS:
        seconds = time_augmentation(options, images, labels)
        name = ", ".join(f"{key}={value}" for key, value in options.items()) or "flips and normalization"
        plain = plain or seconds
        cost = seconds - plain if options else plain
        shares[name] = round(cost / step, 4)
        print(f"{name}: {1e3 * cost:.1f} ms, {cost / step:.2%} of the step", file=sys.stderr)
    result = {"step_ms": round(1e3 * step, 1), "shares": shares, "conditions": conditions()}
    write_result(_OUT.value, result)
    return result


if __name__ == "__main__":
    command.run(main)
