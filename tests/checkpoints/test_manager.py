import contextlib
import threading
import time

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from flax_googlenet import checkpoints
from flax_googlenet.checkpoints import Checkpoints
from flax_googlenet.checkpoints.integrity import write_digests
from flax_googlenet.errors import UserError
from tests.support.checkpoints import DESCRIPTION, arrays, save, shapes


@pytest.mark.parametrize(("saved_on", "restored_on"), [(1, 1), (8, 1), (1, 8), (8, 2)])
def test_arrays_are_restored_exactly_on_any_devices(tmp_path, saved_on, restored_on):
    weights, optimizer = save(tmp_path, devices=saved_on)
    like = arrays(restored_on)
    opened = Checkpoints(str(tmp_path), keep_last=2, keep_best=1)
    restored = opened.restore(opened.latest_step, weights=like[0], optimizer=like[1])
    opened.close()
    jax.tree.map(np.testing.assert_array_equal, restored, (weights, optimizer))
    assert restored[0]["params"]["head"]["kernel"].sharding == like[0]["params"]["head"]["kernel"].sharding


def not_averaged(weights):
    return {name: weights[name] for name in ("params", "batch_stats")}


@pytest.mark.parametrize("statistics", [False, True])
@pytest.mark.parametrize(("devices", "averaged"), [(1, False), (1, True), (8, True)])
def test_averaged_weights_are_preferred(tmp_path, devices, averaged, statistics):
    weights, _ = save(tmp_path, devices=devices, averaged=averaged, statistics=statistics)
    expected = {
        name: weights[f"averaged_{name}"] if averaged else tree
        for name, tree in not_averaged(weights).items()
    }
    checkpoint = checkpoints.find(str(tmp_path))
    placed = checkpoints.read_weights(checkpoint, shapes(not_averaged(weights)))
    on_host = checkpoints.read_weights(checkpoint)
    jax.tree.map(np.testing.assert_array_equal, placed, expected)
    jax.tree.map(np.testing.assert_array_equal, on_host, expected)
    assert {type(leaf) for leaf in jax.tree.leaves(on_host)} == {np.ndarray}


@pytest.mark.parametrize("recorded", ["missing", "empty"])
def test_averaged_weights_without_their_statistics_are_not_used(tmp_path, caplog, recorded):
    """Format 2 has none, and a run resumed from it saves empty ones."""
    weights, optimizer = arrays(averaged=True, statistics=True)
    earlier = {**weights, "averaged_batch_stats": {}}
    if recorded == "missing":
        del earlier["averaged_batch_stats"]
    saved = Checkpoints(str(tmp_path), keep_last=2, keep_best=1)
    saved.save(1, weights=earlier, optimizer=optimizer, description=DESCRIPTION)
    saved.wait()
    checkpoint = checkpoints.find(str(tmp_path))
    for like in (None, shapes(not_averaged(weights))):
        read = checkpoints.read_weights(checkpoint, like)
        jax.tree.map(np.testing.assert_array_equal, read, not_averaged(weights))
        assert "averaged weights without the batch statistics" in caplog.text
    restored, _ = saved.restore(1, weights=shapes(weights), optimizer=shapes(optimizer))
    saved.close()
    jax.tree.map(np.testing.assert_array_equal, restored, {**earlier, "averaged_batch_stats": {}})


def test_the_last_and_the_best_are_kept_across_a_restart(tmp_path):
    top1 = {1: 0.1, 2: 0.9, 3: 0.3, 4: 0.4, 5: 0.5, 6: 0.2}
    save(tmp_path, (1, 2, 3), top1)
    save(tmp_path, (4, 5, 6), top1)
    steps = sorted(int(path.name) for path in (tmp_path / "checkpoints").iterdir())
    assert steps == [2, 5, 6]


@pytest.mark.parametrize("in_background", [True, False])
def test_a_save_is_complete_when_save_returns_unless_in_the_background(tmp_path, monkeypatch, in_background):
    may_complete = threading.Event()

    def write_digests_late(checkpoint):
        assert may_complete.wait(600)
        time.sleep(0.2)  # long enough that `save` would return before
        write_digests(checkpoint)

    if not in_background:
        may_complete.set()
    monkeypatch.setattr("flax_googlenet.checkpoints.manager.write_digests", write_digests_late)
    weights, optimizer = arrays()
    opened = Checkpoints(str(tmp_path), keep_last=2, keep_best=0, in_background=in_background)
    with contextlib.closing(opened):
        opened.save(1, weights=weights, optimizer=optimizer, description=DESCRIPTION)
        assert opened.latest_step == (None if in_background else 1)
        may_complete.set()
    assert opened.latest_step == 1


def test_the_first_array_that_differs_is_named(tmp_path):
    weights, _ = save(tmp_path)
    other = {"head": {**weights["params"]["head"], "kernel": jnp.zeros((2, 4))}}
    with pytest.raises(
        UserError, match=r"another network: params/head/kernel is \(2, 3\) there and \(2, 4\)"
    ):
        checkpoints.read_weights(checkpoints.find(str(tmp_path)), shapes({"params": other}))
