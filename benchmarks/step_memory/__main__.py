"""Measure the memory that a train step takes for activations and gradients, with and without `model.remat`.

  python -m benchmarks.step_memory
  python -m benchmarks.step_memory --variants=torchvision --batch_size=64 --out=FILE.json

Compiles the step and does not run it. The figure is the size of the program's temporary buffer, which comes
on top of the parameters, the state of the optimizer and the batch.
"""

import sys
from collections.abc import Sequence
from typing import Any

import jax
import jax.numpy as jnp
from absl import flags

from benchmarks.conditions import conditions, write_result
from flax_googlenet.config import resolve
from flax_googlenet.models import build_model
from flax_googlenet.sharding import data_mesh
from flax_googlenet.training.optimizer import build_optimizer
from flax_googlenet.training.state import initial_state
from flax_googlenet.training.step import make_train_step
from flax_googlenet.variants import VARIANTS
from launch.common import command

_VARIANTS = flags.DEFINE_multi_enum(
    "variants", ["paper", "torchvision"], list(VARIANTS), "Networks to compile."
)
_BATCH_SIZE = flags.DEFINE_integer("batch_size", 16, "Images in a batch.", lower_bound=1)
_IMAGE_SIZE = flags.DEFINE_integer("image_size", 224, "Side of an image in pixels.", lower_bound=32)
_DTYPE = flags.DEFINE_enum("dtype", "float32", ["float32", "bfloat16"], "Dtype of the activations.")
_OUT = flags.DEFINE_string("out", None, "JSON file for the result.")


def temporary_bytes(**model: Any) -> int:
    """Return the size of the temporary buffer of a step on one device.

    Args:
      model: keys of the section `model` of the config.
    """
    batch_size, size = _BATCH_SIZE.value, _IMAGE_SIZE.value
    config = resolve({"batch_size": batch_size, "data": {"image_size": size}, "model": model})
    network = build_model(config.model)
    optimizer = build_optimizer(config.optimizer, lambda _: 0.01)
    mesh = data_mesh(jax.devices()[:1])
    step: Any = make_train_step(config, network, optimizer, lambda _: 0.01, mesh, averaging_start=0)
    state = jax.eval_shape(lambda: initial_state(config, network, optimizer))
    batch = {
        "image": jax.ShapeDtypeStruct((batch_size, size, size, 3), jnp.uint8),
        "label": jax.ShapeDtypeStruct((batch_size,), jnp.int32),
    }
    buffer: int = step.lower(state, batch).compile().memory_analysis().temp_size_in_bytes
    return buffer


def main(arguments: Sequence[str]) -> dict[str, Any]:
    command.refuse_arguments(arguments)
    megabytes = {}
    for variant in _VARIANTS.value:
        kept, recomputed = (
            round(temporary_bytes(variant=variant, dtype=_DTYPE.value, remat=remat) / 1e6)
            for remat in (False, True)
        )
        megabytes[variant] = {"kept": kept, "remat": recomputed}
        print(f"{variant}: {kept} MB, {recomputed} MB with model.remat", file=sys.stderr)
    result = {
        "megabytes": megabytes,
        "batch_size": _BATCH_SIZE.value,
        "image_size": _IMAGE_SIZE.value,
        "dtype": _DTYPE.value,
        "conditions": conditions(),
    }
    write_result(_OUT.value, result)
    return result


if __name__ == "__main__":
    command.run(main)
