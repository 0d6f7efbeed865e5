"""Which batch statistics belong to averaged weights?

  python -m studies.averaged_statistics --out=benchmarks/results/averaging.json

Trains the batch-normalized network on the embedded digits (32 pixels, 200 steps, one seed) with each kind of
averaging and evaluates the averaged weights on the 1,000 validation digits with three kinds of statistics:
the run's running statistics, their average with the same decay as the weights (torchvision's
use_buffers=True), and statistics that `training/averaging.py` measures on batches. The accuracies are
reproducible on one machine; the study takes three CPU minutes.
"""

import sys
from collections.abc import Sequence
from typing import Any

import jax
import jax.numpy as jnp
from absl import flags

from benchmarks.conditions import conditions, write_result
from flax_googlenet.config import resolve
from flax_googlenet.data import TrainBatches, open_source, to_devices
from flax_googlenet.evaluation import Evaluator, Member
from flax_googlenet.models import build_model
from flax_googlenet.sharding import data_mesh, split_batch
from flax_googlenet.training.averaging import average, make_statistics
from flax_googlenet.training.optimizer import build_optimizer, build_schedule
from flax_googlenet.training.state import initial_state
from flax_googlenet.training.step import make_train_step
from launch.common import command

_OUT = flags.DEFINE_string("out", None, "JSON file for the result.")

STEPS = 200
EVALUATED = (50, 100, 200)
AVERAGINGS: dict[str, dict[str, Any]] = {
    "polyak": {"kind": "polyak"},
    "polyak from step 100": {"kind": "polyak", "start": "100 steps"},
    "ema 0.99": {"kind": "ema", "decay": 0.99},
}
COLUMNS = ("weights of the step", "running", "averaged", "measured")


def accuracies(averaging: dict[str, Any]) -> dict[int, list[float]]:
    """Train with one kind of averaging and return the top-1 accuracy for each of `COLUMNS`, by step."""
    config = resolve(
        {
            "duration": f"{STEPS} steps",
            "model": {"variant": "bn", "num_classes": 10, "initializer": "he"},
            "data": {
                "source": "mnist_sample",
                "image_size": 32,
                "resize": 32,
                "train_crop": "center",
                "mirror": False,
                "mean": (33.3,) * 3,
                "std": (78.6,) * 3,
            },
            "optimizer": {"learning_rate": 0.02, "nesterov": True},
            "schedule": {"power": 1.0, "warmup": "20 steps"},
            "averaging": averaging,
        }
    )
    mesh = data_mesh()
    train, validation = (open_source(config.data, split) for split in ("train", "val"))
    model = build_model(config.model)
    schedule = build_schedule(config, total_steps=STEPS, epoch_size=len(train))
    optimizer = build_optimizer(config.optimizer, schedule)
    start = int(config.averaging.start.split()[0])
    step = make_train_step(config, model, optimizer, schedule, mesh, start)
    measure = make_statistics(config, model, train, mesh)
    evaluate = Evaluator([Member(model, config.data)], validation, mesh, batch_size=100)
    update = jax.jit(lambda average_, new, age: average(config.averaging, average_, new, age))

    state = jax.jit(lambda: initial_state(config, model, optimizer))()
    averaged_statistics = jax.tree.map(jnp.copy, state.batch_stats)
    batches = TrainBatches(train, config.data, config.seed, config.batch_size)
    results = {}
    for index, batch in enumerate(to_devices(batches, range(STEPS), split_batch(mesh))):
        state, _ = step(state, batch)
        averaged_statistics = update(averaged_statistics, state.batch_stats, jnp.asarray(index - start))
        if index + 1 in EVALUATED:
            pairs = [
                (state.params, state.batch_stats),
                (state.averaged_params, state.batch_stats),
                (state.averaged_params, averaged_statistics),
                (state.averaged_params, measure(state.averaged_params, state.batch_stats)),
            ]
            results[index + 1] = [evaluate([{"params": p, "batch_stats": s}])["top1"] for p, s in pairs]
            print(f"step {index + 1}: {results[index + 1]}", file=sys.stderr)
    return results


def main(arguments: Sequence[str]) -> dict[str, Any]:
    """Train with each kind of averaging and return the accuracies by averaging and step."""
    command.refuse_arguments(arguments)
    results = {
        name: {str(step): row for step, row in accuracies(averaging).items()}
        for name, averaging in AVERAGINGS.items()
    }
    write_result(_OUT.value, {"columns": COLUMNS, "accuracies": results, "conditions": conditions()})
    return results


if __name__ == "__main__":
    command.run(main)
