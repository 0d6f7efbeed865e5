"""Checkpoints that are saved into a bucket; tests/launch/test_buckets.py has runs."""

import dataclasses
import pathlib
import tempfile

import fsspec
import jax
import numpy as np
import pytest

from flax_googlenet import checkpoints
from flax_googlenet.checkpoints import Checkpoints, buckets
from flax_googlenet.errors import UserError
from flax_googlenet.paths import resolve_path
from tests.support.checkpoints import DESCRIPTION, arrays, save, shapes
from tests.support.processes import free_port, outputs, start


@pytest.fixture(autouse=True)
def temporary(tmp_path, monkeypatch) -> pathlib.Path:
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    return tmp_path


@pytest.mark.parametrize("end", [b"\r", b"\n", b"\r\n", b"\r\r"])
def test_the_servers_of_these_tests_keep_the_last_bytes_of_a_file(bucket, end, temporary):
    file = temporary / "file"
    file.write_bytes(b"content" + end)
    system, _ = fsspec.url_to_fs(bucket)
    system.put([str(file)], [f"{bucket}/file"])
    assert (resolve_path(bucket) / "file").read_bytes() == b"content" + end


def steps_in(workdir: str) -> list[str]:
    return sorted(path.name for path in (resolve_path(workdir) / "checkpoints").iterdir())


def test_a_checkpoint_is_saved_and_restored(bucket, temporary):
    weights, optimizer = save(bucket, (1, 2), statistics=True)
    assert not list(temporary.iterdir()), "nothing stays on this machine"
    resumed = Checkpoints(bucket, keep_last=2, keep_best=0)
    assert resumed.latest_step == 2
    assert resumed.path(2) == f"{bucket}/checkpoints/2"
    restored = resumed.restore(2, weights=shapes(weights), optimizer=shapes(optimizer))
    resumed.close()
    jax.tree.map(np.testing.assert_array_equal, restored, (weights, optimizer))
    saved = resolve_path(bucket) / "checkpoints/2"
    checkpoints.verify_digests(saved)
    assert not (saved / "partial").exists()


def test_the_last_and_the_best_are_kept_across_a_restart(bucket):
    save(bucket, (1, 2, 3), {1: 0.9, 2: 0.5, 3: 0.6}, keep_last=1, keep_best=1)
    assert steps_in(bucket) == ["1", "3"]
    save(bucket, (4, 5), {4: 0.7, 5: 0.8}, keep_last=1, keep_best=1)
    assert steps_in(bucket) == ["1", "5"], "the metrics of the first are known after the restart"


@pytest.mark.usefixtures("s3")
def test_a_machine_holds_the_arrays_of_the_last_checkpoint_only(temporary):
    saved = Checkpoints("s3://bucket/room", keep_last=3, keep_best=0)
    weights, optimizer = arrays()
    for step in (1, 2, 3):
        description = dataclasses.replace(DESCRIPTION, step=step)
        saved.save(step, weights=weights, optimizer=optimizer, description=description)
        saved.wait()
    assert [path.parent.name for path in temporary.rglob("weights")] == ["3"]
    saved.close()
    assert steps_in("s3://bucket/room") == ["1", "2", "3"]


class KilledError(Exception):
    """Stands for SIGKILL, which leaves what was done so far."""


def test_a_checkpoint_without_its_digests_is_not_complete(bucket, monkeypatch, caplog):
    """The digests come last, so what a kill leaves of an upload is without them."""
    save(bucket, (1,))
    uploaded = []
    system, _ = fsspec.url_to_fs(bucket)
    put = system.put

    def put_and_die(sources, targets):
        uploaded.extend(targets)
        put(sources, targets)
        raise KilledError

    with monkeypatch.context() as patch:
        patch.setattr(system, "put", put_and_die)
        with pytest.raises(UserError, match=f"Could not write {bucket}/checkpoints/2: KilledError; check"):
            save(bucket, (2,))
    assert len(uploaded) > 10
    assert all(map(system.exists, uploaded))
    assert checkpoints.find(bucket).name == "1"
    save(bucket, (3,))
    assert f"{bucket}/checkpoints/2 is not a complete checkpoint; it was removed" in caplog.text
    assert steps_in(bucket) == ["1", "3"]


def test_a_checkpoint_that_is_removed_stops_being_complete_first(bucket, monkeypatch):
    save(bucket, (1, 2))
    directory = resolve_path(bucket) / "checkpoints/2"
    with monkeypatch.context() as patch:
        patch.setattr(type(directory), "rmtree", lambda *_, **__: None)
        buckets.remove(directory)
    assert checkpoints.find_latest(bucket).name == "1"
    save(bucket, (3,))
    assert steps_in(bucket) == ["1", "3"], "the removal was completed"


def test_a_checkpoint_is_replaced(bucket, monkeypatch):
    """Killed at any request to the bucket, one of the same step is complete."""
    save(bucket, (1,))
    directory = resolve_path(bucket) / "checkpoints"
    system, _ = fsspec.url_to_fs(bucket)
    for name in ("copy", "put"):
        with monkeypatch.context() as patch:
            patch.setattr(system, name, lambda *_: (_ for _ in ()).throw(KilledError))
            with pytest.raises((KilledError, UserError)):
                save(bucket, (1,))
        checkpoints.finish_replacements(bucket)
        assert [path.name for path in directory.iterdir()] == ["1"]
        checkpoints.verify_digests(directory / "1")
    before = (directory / "1/digests.json").read_text()
    save(bucket, (1,))
    assert [path.name for path in directory.iterdir()] == ["1"]
    checkpoints.verify_digests(directory / "1")
    assert (directory / "1/digests.json").read_text() != before


@pytest.mark.usefixtures("s3")
def test_what_a_killed_process_left_on_this_machine_is_removed():
    address = resolve_path("s3://bucket/left")
    killed = buckets.Staging(address)
    (killed.directory / "1.orbax-checkpoint-tmp").mkdir()
    other = buckets.Staging(resolve_path("s3://bucket/other"))
    staging = buckets.Staging(address)
    assert not killed.directory.exists()
    assert other.directory.exists()
    assert staging.directory.exists()
    for each in (killed, staging, other):
        each._scratch.cleanup()


HOST = """
import dataclasses, sys
import jax, numpy as np
from jax.experimental import multihost_utils
from flax_googlenet import distributed
from flax_googlenet.checkpoints import Checkpoints
from tests.support.checkpoints import DESCRIPTION

port, host, address = sys.argv[1:]
distributed.start(f"localhost:{port}", 2, int(host))
jax.devices()  # for which the hosts wait for each other
# Nothing waits for the devices of the other host, which may be slow to fetch a checkpoint.
multihost_utils.process_allgather = None
params = {"bias": np.arange(3.0, dtype=np.float32)}
weights = {"params": params, **dict.fromkeys(("batch_stats", "averaged_params", "averaged_batch_stats"), {})}
run = Checkpoints(address, keep_last=1, keep_best=0)
for step in (1, 2):
    description = dataclasses.replace(DESCRIPTION, step=step)
    run.save(step, weights=weights, optimizer={"step": np.int32(step)}, description=description)
run.wait()  # the first host saves
distributed.meet("save")
place = jax.sharding.SingleDeviceSharding(jax.local_devices()[0])
like = lambda tree: jax.tree.map(lambda x: jax.ShapeDtypeStruct(x.shape, x.dtype, sharding=place), tree)
restored, _ = run.restore(2, weights=like(weights), optimizer=like({"step": np.int32(0)}))
np.testing.assert_array_equal(restored["params"]["bias"], params["bias"])
run.close()
distributed.finish()
"""


@pytest.mark.slow
@pytest.mark.usefixtures("s3")
def test_hosts_without_a_common_disk_save_and_restore(temporary):
    port = free_port()
    hosts = []
    for host in range(2):
        (temporary / str(host)).mkdir()
        arguments = ("-c", HOST, port, host, "s3://bucket/hosts")
        hosts.append(start(*arguments, TMPDIR=str(temporary / str(host))))
    outputs(hosts)
    assert steps_in("s3://bucket/hosts") == ["2"]
    checkpoints.verify_digests(resolve_path("s3://bucket/hosts/checkpoints/2"))
    assert not [file for host in temporary.iterdir() for file in host.iterdir()]
