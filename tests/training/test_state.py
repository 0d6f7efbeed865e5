"""The state that a run starts from equals `initial_state` bit for bit."""

import jax
import numpy as np
import pytest

from flax_googlenet.config import resolve
from flax_googlenet.models import build_model
from flax_googlenet.sharding import data_mesh, replicate
from flax_googlenet.training.optimizer import build_optimizer
from flax_googlenet.training.state import initial_state, place_initial_state


@pytest.mark.parametrize(
    "changes",
    [
        pytest.param({}, id="plain"),
        pytest.param({"model.variant": "torchvision", "averaging.kind": "ema"}, id="batch-norm-averaged"),
        pytest.param({"optimizer.freeze": ("stem/*",), "optimizer.rates": (("*/bias", 2.0),)}, id="groups"),
        pytest.param({"optimizer.momentum": 0.0, "seed": 5}, id="no-momentum"),
        pytest.param({"optimizer.name": "lamb"}, id="lamb"),
    ],
)
def test_the_placed_state_is_the_initial_state_on_every_device(small_table, changes):
    nested: dict = {"model": {"num_classes": 7}, "data": {"image_size": 32}}
    for key, value in changes.items():
        section, _, name = key.rpartition(".")
        (nested.setdefault(section, {}) if section else nested)[name] = value
    config = resolve(nested)
    model = build_model(config.model).clone(table=small_table)
    optimizer = build_optimizer(config.optimizer, lambda _: 0.1)
    everywhere = replicate(data_mesh())
    expected = jax.jit(lambda: initial_state(config, model, optimizer), out_shardings=everywhere)()
    placed = place_initial_state(config, model, optimizer, everywhere)
    assert jax.tree.structure(placed) == jax.tree.structure(expected)
    for ours, theirs in zip(jax.tree.leaves(placed), jax.tree.leaves(expected), strict=True):
        assert (ours.dtype, ours.shape, ours.sharding) == (theirs.dtype, theirs.shape, theirs.sharding)
        assert ours.weak_type == theirs.weak_type
        for shard in ours.addressable_shards:
            np.testing.assert_array_equal(shard.data, theirs)


def test_no_two_arrays_share_memory(small_table):
    config = resolve({"model": {"num_classes": 7}, "data": {"image_size": 32}, "averaging": {"kind": "ema"}})
    model = build_model(config.model).clone(table=small_table)
    optimizer = build_optimizer(config.optimizer, lambda _: 0.1)
    state = place_initial_state(config, model, optimizer, replicate(data_mesh()))
    places = [
        shard.data.unsafe_buffer_pointer()
        for leaf in jax.tree.leaves(state)
        for shard in leaf.addressable_shards
    ]
    assert len(set(places)) == len(places) > 100
