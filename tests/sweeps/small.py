"""A small base config for sweeps and searches, and small networks for those that train."""

from collections.abc import Callable

from flax_googlenet import classifier
from flax_googlenet.sweeps import plan
from flax_googlenet.training.setup import program
from tests.support.networks import shrink_table

BASE = {
    "batch_size": 8,
    "duration": "2 steps",
    "log_every": "1 step",
    "model": {"num_classes": 10, "normalization": "none", "initializer": "he"},
    "data": {"source": "mnist_sample", "image_size": 32, "resize": 32, "train_crop": "center"},
}

# Evaluates and saves after each step.
STEP_BY_STEP = {**BASE, "evaluation": {"every": "1 step"}, "checkpoint": {"every": "1 step"}}


def shrink_networks(replace: Callable[..., None]) -> None:
    """Make the networks small, by a function such as `monkeypatch.setattr`."""
    build, table = program.build_model, shrink_table()
    for module in (program, plan, classifier):
        replace(module, "build_model", lambda model: build(model).clone(table=table))
