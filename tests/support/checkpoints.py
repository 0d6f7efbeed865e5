"""Checkpoints of a few small arrays."""

import contextlib
import dataclasses

import jax
import jax.numpy as jnp

from flax_googlenet.checkpoints import Checkpoints, Description
from flax_googlenet.sharding import data_mesh, replicate

DESCRIPTION = Description(
    1,
    {"seed": 1, "model": {"num_classes": 2}},
    ("a", "b"),
    history=[{"step": 1, "train/loss": 2.0}],
    data={"train": {"num_examples": 7, "digest": "x"}},
)


def arrays(devices: int = 1, averaged: bool = False, statistics: bool = False):
    """Return weights and an optimizer's state, replicated over some devices."""
    place = replicate(data_mesh(jax.devices()[:devices]))
    params = {"head": {"kernel": jnp.arange(6.0).reshape(2, 3), "bias": jnp.ones(3)}}
    weights = {"params": params, "batch_stats": {"norm": {"mean": jnp.ones(3)}} if statistics else {}}
    for name, tree in list(weights.items()):
        weights[f"averaged_{name}"] = jax.tree.map(lambda x: x * 2, tree) if averaged else {}
    optimizer = {"opt_state": ({}, [jnp.full((2,), 7.0)]), "step": jnp.asarray(5, jnp.int32)}
    return jax.device_put(weights, place), jax.device_put(optimizer, place)


def shapes(tree):
    """Return the shapes of arrays, placed on the first device."""
    device = jax.sharding.SingleDeviceSharding(jax.devices()[0])
    return jax.tree.map(lambda x: jax.ShapeDtypeStruct(x.shape, x.dtype, sharding=device), tree)


def save(
    workdir, steps=(1,), metrics=None, devices=1, keep_last=2, keep_best=1, averaged=False, statistics=False
):
    """Save a checkpoint at each of some steps, and return what was saved."""
    weights, optimizer = arrays(devices, averaged, statistics)
    with contextlib.closing(Checkpoints(str(workdir), keep_last=keep_last, keep_best=keep_best)) as saved:
        for step in steps:
            figures = {"top1": metrics[step]} if metrics else None
            description = dataclasses.replace(DESCRIPTION, step=step)
            saved.save(step, weights=weights, optimizer=optimizer, description=description, metrics=figures)
    return weights, optimizer
