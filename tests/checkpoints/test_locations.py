import pathlib
import tempfile

import fsspec
import jax
import numpy as np
import pytest

from flax_googlenet import checkpoints
from flax_googlenet.checkpoints import Checkpoints
from flax_googlenet.errors import UserError
from tests.support.checkpoints import save, shapes


@pytest.mark.parametrize("where", ["", "checkpoints", "checkpoints/12"])
def test_a_workdir_means_its_last_checkpoint(tmp_path, where):
    save(tmp_path, (9, 12))
    assert str(checkpoints.find(str(tmp_path / where))) == str(tmp_path / "checkpoints/12")


@pytest.mark.parametrize("path", ["~", "~/", "~/checkpoints"])
def test_the_home_directory_is_expanded(tmp_path, monkeypatch, path):
    monkeypatch.setenv("HOME", str(tmp_path))
    save(tmp_path, (9,))
    assert checkpoints.find(path) == tmp_path / "checkpoints/9"
    assert checkpoints.find_latest("~") == tmp_path / "checkpoints/9"


@pytest.mark.parametrize("path", [".", "checkpoints", "checkpoints/9"])
def test_a_relative_path_will_do(tmp_path, monkeypatch, path):
    monkeypatch.chdir(tmp_path)
    weights, _ = save(tmp_path, (9,))
    with checkpoints.opened(path) as found:
        assert found == tmp_path / "checkpoints/9"
        jax.tree.map(
            np.testing.assert_array_equal, checkpoints.read_weights(found)["params"], weights["params"]
        )
    assert checkpoints.find_latest(".") == tmp_path / "checkpoints/9"


def test_nothing_there_is_said(tmp_path):
    for path in (tmp_path, tmp_path / "nowhere"):
        with pytest.raises(UserError, match="There is no checkpoint in") as caught:
            checkpoints.find(str(path))
        assert str(path) in str(caught.value)


def test_a_file_is_no_checkpoint(tmp_path):
    (tmp_path / "googlenet.pth").touch()
    with pytest.raises(UserError, match=r"googlenet\.pth is a file, not a checkpoint; import_weights"):
        checkpoints.find(str(tmp_path / "googlenet.pth"))


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


def test_an_incomplete_directory_is_ignored_and_then_set_aside(tmp_path, caplog):
    save(tmp_path, (1,))
    incomplete = tmp_path / "checkpoints/9999"
    incomplete.mkdir()
    (incomplete / "weights").mkdir()
    assert checkpoints.find(str(tmp_path)).name == "1"
    assert f"{incomplete} is not a complete checkpoint and is ignored" in caplog.text
    (tmp_path / "checkpoints/incomplete-9999").mkdir()
    save(tmp_path, (3,))
    assert f"{incomplete} is not a complete checkpoint; it was renamed incomplete-9999-2" in caplog.text
    assert (tmp_path / "checkpoints/incomplete-9999-2/weights").is_dir()
    assert checkpoints.find(str(tmp_path)).name == "3", "a step below the incomplete one is saved"
    save(tmp_path, (9999,))
    checkpoints.verify_digests(checkpoints.find(str(tmp_path)))


@pytest.fixture
def temporary(tmp_path, monkeypatch) -> pathlib.Path:
    directory = tmp_path / "temporary"
    directory.mkdir()
    monkeypatch.setattr(tempfile, "tempdir", str(directory))
    return directory


def test_remote_addresses_are_fetched_and_the_copy_removed(tmp_path, temporary):
    """Through fsspec, which is what reads gs://; its memory file system stands for a bucket."""
    weights, _ = save(tmp_path / "run", (3, 20))
    fsspec.filesystem("memory").put(str(tmp_path / "run"), "/bucket/run", recursive=True)
    with checkpoints.opened("memory://bucket/run") as found:
        assert found.name == "20"
        assert list(temporary.iterdir()), "a copy"
        restored = checkpoints.read_weights(found, shapes({"params": weights["params"]}))
    assert not list(temporary.iterdir())
    jax.tree.map(np.testing.assert_array_equal, restored["params"], weights["params"])
    with (
        pytest.raises(UserError, match="no checkpoint in memory://bucket/nothing"),
        checkpoints.opened("memory://bucket/nothing"),
    ):
        pass
    assert not list(temporary.iterdir())


def test_local_checkpoints_are_not_copied(tmp_path, temporary):
    save(tmp_path / "run", (3,))
    with checkpoints.opened(str(tmp_path / "run")) as found:
        assert found == tmp_path / "run/checkpoints/3"
        assert not list(temporary.iterdir())
