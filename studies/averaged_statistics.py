"""Which batch statistics belong to averaged weights?

  python -m studies.averaged_statistics --out=docs/averaging.md

Trains the batch-normalised network on the embedded digits (32 pixels, 200 steps, one seed) with each
kind of averaging, and evaluates the averaged weights on the 1,000 held-out digits with three statistics:
the run's running ones, these averaged as the weights are (torchvision's use_buffers=True), and
those that `training/averaging.py` measures on batches. Accuracy repeats on one machine; three CPU-minutes.
"""

import json
import pathlib
import sys
from collections.abc import Sequence
from typing import Any

import jax
import jax.numpy as jnp
from absl import flags

from flax_googlenet.config import resolve
from flax_googlenet.data import TrainBatches, open_source, to_devices
from flax_googlenet.evaluation import Evaluator, Member
from flax_googlenet.models import build_model
from flax_googlenet.sharding import data_mesh, split_batch
from flax_googlenet.training.averaging import STATISTICS_BATCHES, average, make_statistics
from flax_googlenet.training.optimizer import build_optimizer, build_schedule
from flax_googlenet.training.state import initial_state
from flax_googlenet.training.step import make_train_step
from launch import command

_OUT = flags.DEFINE_string("out", None, "Markdown file for the table.")

STEPS = 200
EVALUATED = (50, 100, 200)
AVERAGINGS: dict[str, dict[str, Any]] = {
    "polyak": {"kind": "polyak"},
    "polyak from step 100": {"kind": "polyak", "start": "100 steps"},
    "ema 0.99": {"kind": "ema", "decay": 0.99},
}
COLUMNS = ("weights of the step", "running", "averaged", "measured")

_INTRODUCTION = """\
Top-1 accuracy on the 1,000 held-out digits: of the weights of the step, and of averaged weights with the
running statistics of the run, with these averaged as the weights are, and with statistics measured for the
averaged weights on {batches} batches of the training split. The last are best wherever they differ much,
and are what a run computes whenever it evaluates or saves.

By `python -m studies.averaged_statistics --out=docs/averaging.md`: the `bn` variant, 32 pixels, 200 steps
of 32 digits, one seed, on a CPU with jax {version}."""


def accuracies(averaging: dict[str, Any]) -> dict[int, list[float]]:
    """Return top-1 for each of `COLUMNS`, by step."""
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
    """Print the table and return its numbers."""
    command.refuse_arguments(arguments)
    results = {name: accuracies(averaging) for name, averaging in AVERAGINGS.items()}
    lines = [
        "# Batch statistics of averaged weights",
        "",
        _INTRODUCTION.format(batches=STATISTICS_BATCHES, version=jax.__version__),
        "",
        "| averaging | step | " + " | ".join(COLUMNS) + " |",
        "|---|--:|" + "--:|" * len(COLUMNS),
    ]
    for name, by_step in results.items():
        for step, row in by_step.items():
            lines.append(f"| {name} | {step} | " + " | ".join(f"{value:.1%}" for value in row) + " |")
    table = "\n".join(lines) + "\n"
    if _OUT.value:
        pathlib.Path(_OUT.value).write_text(table, encoding="utf-8")
    print(table, file=sys.stderr)
    return json.loads(json.dumps(results))


if __name__ == "__main__":
    command.run(main)
