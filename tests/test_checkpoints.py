import json

import fsspec
import jax
import jax.numpy as jnp
import numpy as np
import pytest

from flax_googlenet import checkpoints
from flax_googlenet.checkpoints import Checkpoints, Description
from flax_googlenet.config import resolve
from flax_googlenet.errors import UserError
from flax_googlenet.sharding import data_mesh, replicate

DESCRIPTION = Description(1, {"seed": 1}, ("a", "b"), history=[{"step": 1, "train/loss": 2.0}])


def arrays(devices: int = 1, averaged: bool = False):
    place = replicate(data_mesh(jax.devices()[:devices]))
    params = {"head": {"kernel": jnp.arange(6.0).reshape(2, 3), "bias": jnp.ones(3)}}
    weights = {"params": params, "batch_stats": {}, "averaged_params": {}}
    if averaged:
        weights["averaged_params"] = jax.tree.map(lambda x: x * 2, params)
    optimizer = {"opt_state": ({}, [jnp.full((2,), 7.0)]), "step": jnp.asarray(5, jnp.int32)}
    return jax.device_put(weights, place), jax.device_put(optimizer, place)


def shapes(tree):
    here = jax.sharding.SingleDeviceSharding(jax.devices()[0])
    return jax.tree.map(lambda x: jax.ShapeDtypeStruct(x.shape, x.dtype, sharding=here), tree)


def save(workdir, steps=(1,), metrics=None, devices=1, keep_last=2, keep_best=1, averaged=False):
    weights, optimizer = arrays(devices, averaged)
    saved = Checkpoints(str(workdir), keep_last=keep_last, keep_best=keep_best)
    for step in steps:
        figures = {"top1": metrics[step]} if metrics else None
        saved.save(step, weights=weights, optimizer=optimizer, description=DESCRIPTION, metrics=figures)
    saved.close()
    return weights, optimizer


@pytest.mark.parametrize(("saved_on", "restored_on"), [(1, 1), (8, 1), (1, 8), (8, 2)])
def test_restores_exactly_on_any_devices(tmp_path, saved_on, restored_on):
    weights, optimizer = save(tmp_path, devices=saved_on)
    like = arrays(restored_on)
    opened = Checkpoints(str(tmp_path), keep_last=2, keep_best=1)
    found = opened.restore(opened.latest_step, weights=like[0], optimizer=like[1])
    opened.close()
    jax.tree.map(np.testing.assert_array_equal, found, (weights, optimizer))
    assert found[0]["params"]["head"]["kernel"].sharding == like[0]["params"]["head"]["kernel"].sharding


@pytest.mark.parametrize(("reduces", "has_heads"), [(True, True), (False, False)])
def test_the_first_format_is_read(tmp_path, reduces, has_heads):
    """Its configs named the network and the two forms of the module, and heads were a bool."""
    save(tmp_path)
    file = tmp_path / "checkpoints/1/description/metadata"
    model = {"name": "googlenet", "num_classes": 10, "normalization": "none", "stem_reduce": True}
    model |= {"dimension_reduction": reduces, "aux_heads": has_heads}
    fields = json.loads(file.read_text())
    del fields["origin"]
    file.write_text(json.dumps({**fields, "format": 1, "config": {"model": model}}))
    described = resolve(checkpoints.describe(checkpoints.find(str(tmp_path))).config).model
    assert (described.reduce3x3, described.reduce5x5, described.project_pool) == (reduces,) * 3
    assert described.aux_heads == (2 if has_heads else 0)
    assert (described.variant, described.num_classes, described.normalization) == ("paper", 10, "none")


@pytest.mark.parametrize("averaged", [False, True])
def test_weights_alone_prefer_the_average(tmp_path, averaged):
    weights, _ = save(tmp_path, averaged=averaged)
    found = checkpoints.load_weights(checkpoints.find(str(tmp_path)), shapes({"params": weights["params"]}))
    expected = weights["averaged_params"] if averaged else weights["params"]
    jax.tree.map(np.testing.assert_array_equal, found["params"], expected)


@pytest.mark.parametrize(("devices", "averaged"), [(1, False), (8, True)])
def test_weights_are_read_without_knowing_their_shapes(tmp_path, devices, averaged):
    weights, _ = save(tmp_path, devices=devices, averaged=averaged)
    found = checkpoints.read_weights(checkpoints.find(str(tmp_path)))
    expected = weights["averaged_params"] if averaged else weights["params"]
    jax.tree.map(np.testing.assert_array_equal, found, {"params": expected, "batch_stats": {}})
    assert {type(leaf) for leaf in jax.tree.leaves(found)} == {np.ndarray}


def test_the_last_and_the_best_are_kept_across_a_restart(tmp_path):
    top1 = {1: 0.1, 2: 0.9, 3: 0.3, 4: 0.4, 5: 0.5, 6: 0.2}
    save(tmp_path, (1, 2, 3), top1)
    save(tmp_path, (4, 5, 6), top1)
    left = sorted(int(each.name) for each in (tmp_path / "checkpoints").iterdir())
    assert left == [2, 5, 6]


def test_describes_itself(tmp_path):
    save(tmp_path)
    found = checkpoints.describe(checkpoints.find(str(tmp_path)))
    assert (found.step, found.config, found.class_names) == (1, {"seed": 1}, ("a", "b"))
    assert found.history == [{"step": 1, "train/loss": 2.0}]
    assert set(found.versions) >= {"jax", "flax"}


def test_digests_cover_every_array_file(tmp_path):
    save(tmp_path, metrics={1: 0.5})
    step = tmp_path / "checkpoints/1"
    digests = json.loads((step / "digests.json").read_text())
    files = {str(path.relative_to(step)) for path in step.rglob("*") if path.is_file()}
    bookkeeping = {"digests.json", "_CHECKPOINT_METADATA", "commit_success.txt"}
    assert files - bookkeeping == set(digests)


def test_a_flipped_byte_is_named_not_loaded(tmp_path):
    weights, _ = save(tmp_path)
    step = tmp_path / "checkpoints/1"
    victim = max((step / "weights").rglob("*"), key=lambda path: path.is_file() * path.stat().st_size)
    content = bytearray(victim.read_bytes())
    content[len(content) // 2] ^= 1
    victim.write_bytes(content)
    with pytest.raises(UserError, match="is damaged") as caught:
        checkpoints.load_weights(checkpoints.find(str(tmp_path)), shapes({"params": weights["params"]}))
    assert str(victim) in str(caught.value)


def test_another_network_is_named(tmp_path):
    weights, _ = save(tmp_path)
    other = {"head": {**weights["params"]["head"], "kernel": jnp.zeros((2, 4))}}
    with pytest.raises(
        UserError, match=r"another network: params/head/kernel is \(2, 3\) there and \(2, 4\)"
    ):
        checkpoints.load_weights(checkpoints.find(str(tmp_path)), shapes({"params": other}))


@pytest.mark.parametrize("where", ["", "checkpoints", "checkpoints/12"])
def test_a_workdir_means_its_last_checkpoint(tmp_path, where):
    save(tmp_path, (9, 12))
    assert str(checkpoints.find(str(tmp_path / where))) == str(tmp_path / "checkpoints/12")


def test_nothing_there_is_said(tmp_path):
    for path in (tmp_path, tmp_path / "nowhere"):
        with pytest.raises(UserError, match="There is no checkpoint in") as caught:
            checkpoints.find(str(path))
        assert str(path) in str(caught.value)


def test_half_written_checkpoints_do_not_count(tmp_path):
    save(tmp_path, (1,))
    (tmp_path / "checkpoints/2.orbax-checkpoint-tmp/weights").mkdir(parents=True)
    assert checkpoints.find(str(tmp_path)).name == "1"
    opened = Checkpoints(str(tmp_path), keep_last=2, keep_best=1)
    assert opened.latest_step == 1
    assert not (tmp_path / "checkpoints/2.orbax-checkpoint-tmp").exists()
    opened.close()
    save(tmp_path, (3,))
    assert not (tmp_path / "checkpoints/2.orbax-checkpoint-tmp").exists()


def test_what_is_no_checkpoint_of_ours_is_said(tmp_path):
    save(tmp_path)
    (tmp_path / "checkpoints/1/description/metadata").write_text("{}")
    with pytest.raises(UserError, match="not a checkpoint of flax_googlenet"):
        checkpoints.describe(checkpoints.find(str(tmp_path)))


def test_remote_addresses_are_fetched(tmp_path):
    """Through fsspec, which is what reads gs://; its memory file system stands for a bucket."""
    weights, _ = save(tmp_path, (3, 20))
    fsspec.filesystem("memory").put(str(tmp_path), "/bucket/run", recursive=True)
    found = checkpoints.find("memory://bucket/run")
    assert found.name == "20"
    restored = checkpoints.load_weights(found, shapes({"params": weights["params"]}))
    jax.tree.map(np.testing.assert_array_equal, restored["params"], weights["params"])
    with pytest.raises(UserError, match="no checkpoint in memory://bucket/nothing"):
        checkpoints.find("memory://bucket/nothing")
