import collections
import pathlib
import re
import subprocess
import sys
import tempfile

import fsspec
import jax
import numpy as np
import pytest

from flax_googlenet import checkpoints
from flax_googlenet.checkpoints import Checkpoints, Survey, set_aside, survey
from flax_googlenet.checkpoints.locations import mark_partial, set_aside_incomplete
from flax_googlenet.errors import UserError
from flax_googlenet.paths import resolve_path
from tests.support.checkpoints import save, shapes


@pytest.mark.parametrize("where", ["", "checkpoints", "checkpoints/12"])
def test_a_workdir_means_its_last_checkpoint(tmp_path, where):
    save(tmp_path, (9, 12))
    assert str(checkpoints.find(str(tmp_path / where))) == str(tmp_path / "checkpoints/12")
    assert checkpoints.find(tmp_path / where) == tmp_path / "checkpoints/12"


@pytest.mark.parametrize("path", ["~", "~/", "~/checkpoints"])
def test_the_home_directory_is_expanded(tmp_path, monkeypatch, path):
    monkeypatch.setenv("HOME", str(tmp_path))
    save(tmp_path, (9,))
    assert checkpoints.find(path) == tmp_path / "checkpoints/9"
    assert checkpoints.find_latest("~") == tmp_path / "checkpoints/9"


@pytest.mark.parametrize("path", [".", "checkpoints", "checkpoints/9"])
def test_a_relative_path_is_made_absolute(tmp_path, monkeypatch, path):
    monkeypatch.chdir(tmp_path)
    weights, _ = save(tmp_path, (9,))
    with checkpoints.opened(path) as checkpoint:
        assert checkpoint == tmp_path / "checkpoints/9"
        jax.tree.map(
            np.testing.assert_array_equal, checkpoints.read_weights(checkpoint)["params"], weights["params"]
        )
    assert checkpoints.find_latest(".") == tmp_path / "checkpoints/9"


def test_a_missing_checkpoint_is_an_error(tmp_path):
    for path in (tmp_path, tmp_path / "nowhere"):
        with pytest.raises(UserError, match="There is no checkpoint in") as caught:
            checkpoints.find(str(path))
        assert str(path) in str(caught.value)


def test_a_file_is_not_a_checkpoint(tmp_path):
    (tmp_path / "googlenet.pth").touch()
    with pytest.raises(UserError, match=r"googlenet\.pth is a file, not a checkpoint; import_weights"):
        checkpoints.find(str(tmp_path / "googlenet.pth"))


def test_an_unknown_scheme_is_named():
    with pytest.raises(UserError, match=r"ftp://host/run has an unknown scheme; use a local path or one of"):
        checkpoints.find("ftp://host/run")


def test_partial_checkpoints_do_not_count(tmp_path):
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


def test_an_incomplete_directory_is_warned_about_once(tmp_path, caplog):
    save(tmp_path, (1,))
    incomplete = tmp_path / "checkpoints/9999"
    incomplete.mkdir()
    warnings = lambda: [text for text in caplog.messages if "not a complete checkpoint" in text]  # noqa: E731
    for _ in range(2):
        assert checkpoints.find_latest(tmp_path).name == "1"
    assert not warnings(), "a run that resumes renames it and says so"
    for _ in range(2):
        assert checkpoints.find(tmp_path).name == "1"
    assert len(warnings()) == 1


@pytest.fixture
def temporary(tmp_path, monkeypatch) -> pathlib.Path:
    directory = tmp_path / "temporary"
    directory.mkdir()
    monkeypatch.setattr(tempfile, "tempdir", str(directory))
    return directory


def test_local_checkpoints_are_not_copied(tmp_path, temporary):
    save(tmp_path / "run", (3,))
    with checkpoints.opened(str(tmp_path / "run")) as checkpoint:
        assert checkpoint == tmp_path / "run/checkpoints/3"
        assert not list(temporary.iterdir())


@pytest.fixture
def run(s3, tmp_path, request):
    """The address of a run with checkpoints at steps 3 and 20, and the weights in them."""
    weights, _ = save(tmp_path / "run", (3, 20), {3: 0.5, 20: 0.6})
    name = re.sub(r"\W+", "-", request.node.name)  # brackets are of patterns
    address = f"s3://bucket/{name}/run"
    s3.put(str(tmp_path / "run"), address, recursive=True)
    return address, weights


def downloads(caplog, address):
    """Count the requests for the content of each file of a run."""
    pattern = rf"GET /{address.removeprefix('s3://')}/(\S+) HTTP"
    return collections.Counter(re.findall(pattern, "\n".join(caplog.messages)))


def test_weights_are_downloaded_once_and_the_copy_removed(run, temporary, caplog):
    address, weights = run
    caplog.clear()
    with checkpoints.opened(address, checkpoints.EVALUATION_ITEMS) as checkpoint:
        assert checkpoint.name == "20"
        assert list(temporary.iterdir()), "a copy"
        assert checkpoints.describe(checkpoint).step == 20
        restored = checkpoints.read_weights(checkpoint, shapes({"params": weights["params"]}))
    assert not list(temporary.iterdir())
    jax.tree.map(np.testing.assert_array_equal, restored["params"], weights["params"])
    counts = downloads(caplog, address)
    assert set(counts.values()) == {1}
    parts = {tuple(name.split("/")[1:3]) for name in counts}
    assert {part[0] for part in parts} == {"20"}
    assert {part[1] for part in parts} == {"digests.json", "weights", "description"}


def test_a_description_is_downloaded_alone(run, temporary, caplog):
    address, _ = run
    caplog.clear()
    with checkpoints.opened(f"{address}/checkpoints/3", items=("description",)) as checkpoint:
        assert checkpoints.describe(checkpoint).step == 3
    assert not list(temporary.iterdir())
    counts = downloads(caplog, address)
    assert set(counts.values()) == {1}
    directories = {str(pathlib.PurePosixPath(name).parent) for name in counts}
    assert directories == {"checkpoints/3", "checkpoints/3/description"}


def test_a_whole_checkpoint_is_downloaded_by_default(run):
    with checkpoints.opened(run[0]) as checkpoint:
        checkpoints.verify_digests(checkpoint)
        assert (checkpoint / "optimizer").is_dir()
        next((checkpoint / "optimizer").iterdir()).rename(checkpoint / "moved")
        with pytest.raises(UserError, match="is corrupt"):
            checkpoints.verify_digests(checkpoint)


@pytest.mark.parametrize(
    ("harm", "words"),
    [
        pytest.param(
            lambda s3, path: s3.pipe_file(f"{path}/description/metadata", b"{}"),
            "description/metadata is corrupt: it is not the file that was saved",
            id="changed",
        ),
        pytest.param(
            lambda s3, path: s3.rm_file(f"{path}/description/metadata"),
            "description/metadata is corrupt: it is missing",
            id="missing",
        ),
        pytest.param(
            lambda s3, path: s3.pipe_file(f"{path}/digests.json", b"{}"),
            "digests.json has no digest of",
            id="no digests",
        ),
        pytest.param(
            lambda s3, path: s3.pipe_file(f"{path}/digests.json", b'{"weights/../../x": ""}'),
            "digests.json names weights/../../x, which is outside the checkpoint",
            id="path outside",
        ),
    ],
)
def test_harm_in_a_bucket_is_named_by_its_address(s3, run, temporary, harm, words):
    address, _ = run
    s3.touch(f"{address}/checkpoints/20/description/other")  # or S3 has no directory
    harm(s3, f"{address}/checkpoints/20")
    with (
        pytest.raises(UserError) as caught,
        checkpoints.opened(address, checkpoints.EVALUATION_ITEMS),
    ):
        pass
    assert f"{address}/checkpoints/20/{words}" in str(caught.value)
    assert not list(temporary.iterdir())


@pytest.mark.parametrize("partial", [True, False])
def test_an_incomplete_checkpoint_in_a_bucket_does_not_count(s3, run, caplog, partial):
    """A bucket has no atomic renaming: the digests are the last file that is written."""
    address, _ = run
    s3.rm_file(f"{address}/checkpoints/20/digests.json")
    if partial:
        mark_partial(resolve_path(address) / "checkpoints/20")
    assert str(checkpoints.find_latest(address)) == f"{address}/checkpoints/3"
    assert str(checkpoints.find(address)) == f"{address}/checkpoints/3"
    assert f"{address}/checkpoints/20 is not a complete checkpoint and is ignored" in caplog.text
    set_aside_incomplete(resolve_path(address) / "checkpoints")
    result = "removed" if partial else "renamed incomplete-20"
    assert f"{address}/checkpoints/20 is not a complete checkpoint; it was {result}" in caplog.text
    left = sorted(path.name for path in (resolve_path(address) / "checkpoints").iterdir())
    assert left == (["3"] if partial else ["3", "incomplete-20"])


@pytest.mark.parametrize("partial", [True, False])
def test_without_a_sound_checkpoint_what_may_be_repaired_is_named(s3, run, partial):
    address, _ = run
    for step in (3, 20):
        s3.rm_file(f"{address}/checkpoints/{step}/digests.json")
        if partial:
            mark_partial(resolve_path(address) / f"checkpoints/{step}")
    if partial:  # a run that was killed in its first saves starts over
        assert checkpoints.survey(address).latest is None
        return
    with pytest.raises(UserError) as caught:
        checkpoints.survey(address)
    assert f"{address}/checkpoints/20 is incomplete" in str(caught.value)


def test_a_checkpoint_that_was_saved_since_is_found(run):
    address, _ = run
    assert checkpoints.find(address).name == "20"
    other = fsspec.filesystem("s3", skip_instance_cache=True)  # with listings of its own
    other.copy(f"{address}/checkpoints/20", f"{address}/checkpoints/21", recursive=True)
    assert checkpoints.find(address).name == "21"


@pytest.mark.usefixtures("s3")
@pytest.mark.parametrize(
    ("address", "words"),
    [
        ("s3://bucket/nothing", "There is no checkpoint in s3://bucket/nothing"),
        ("s3://no-bucket/run", "There is no checkpoint in s3://no-bucket/run"),
    ],
)
def test_a_missing_checkpoint_in_a_bucket_is_an_error(temporary, address, words):
    with pytest.raises(UserError, match=words), checkpoints.opened(address):
        pass
    assert not list(temporary.iterdir())


def test_errors_of_a_bucket_are_explained(s3, monkeypatch):
    def refuse(*_, **__):
        raise PermissionError("Access Denied")

    monkeypatch.setattr(type(s3), "_info", refuse)
    with pytest.raises(UserError, match=r"Could not read s3://bucket/run: Access Denied; check the address"):
        checkpoints.find("s3://bucket/run")


def test_tensorflow_is_not_imported_to_read_a_bucket(run):
    address, _ = run
    code = (
        "import sys; from flax_googlenet import checkpoints; "
        f"print(checkpoints.find('{address}')); assert 'tensorflow' not in sys.modules"
    )
    process = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert process.stdout == f"{address}/checkpoints/20\n", process.stderr


def test_a_corrupt_checkpoint_in_a_bucket_is_moved_aside(s3, run, caplog):
    address, _ = run
    s3.pipe_file(f"{address}/checkpoints/20/description/metadata", b"{}")
    found = survey(address)
    assert str(found.latest) == f"{address}/checkpoints/3"
    set_aside(found, address)
    assert f"{address}/checkpoints/20/description/metadata is corrupt: it is not the file" in caplog.text
    directory = resolve_path(address) / "checkpoints"
    assert sorted(path.name for path in directory.iterdir()) == ["3", "corrupt-20"]
    assert (directory / "corrupt-20/description/metadata").read_text() == "{}"
    assert (directory / "corrupt-20/digests.json").exists()
    assert survey(address) == Survey(directory / "3")
