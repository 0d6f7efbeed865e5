import pathlib
import random
import shutil

import pytest

from flax_googlenet import checkpoints
from flax_googlenet.checkpoints import Checkpoints, describe, set_aside, survey
from flax_googlenet.errors import UserError
from flax_googlenet.paths import resolve_path
from tests.support.checkpoints import arrays, save

STEPS = (3, 7)

# The files of a checkpoint by kind, with one of each that is always there.
KINDS = {
    "weights": "weights/ocdbt.process_0/d/*",
    "optimizer": "optimizer/ocdbt.process_0/d/*",
    "manifest": "weights/manifest.ocdbt",
    "metadata": "weights/_METADATA",
    "marker": "weights/commit_success.txt",
    "description": "description/metadata",
    "metrics": "metrics/metrics",
    "digests": "digests.json",
}


@pytest.fixture(scope="module")
def saved(tmp_path_factory):
    """The workdir of a run with checkpoints at steps 3 and 7."""
    workdir = tmp_path_factory.mktemp("saved")
    save(workdir, STEPS, {3: 0.5, 7: 0.6})
    return workdir


@pytest.fixture
def run(saved, tmp_path) -> pathlib.Path:
    return pathlib.Path(shutil.copytree(saved, tmp_path / "run"))


def file_of(run: pathlib.Path, kind: str, step: int = 7) -> pathlib.Path:
    return min((run / "checkpoints" / str(step)).glob(KINDS[kind]))


def flip(file: pathlib.Path, place: int, value: int) -> None:
    content = bytearray(file.read_bytes())
    content[place] ^= value
    file.write_bytes(content)


def truncate(file: pathlib.Path, size: int) -> None:
    file.write_bytes(file.read_bytes()[:size])


def assert_the_one_before_is_used(run: pathlib.Path, file: pathlib.Path) -> None:
    found = survey(run)
    assert found.latest == run / "checkpoints/3"
    assert list(found.corrupt) == ["7"]
    # A changed digest accuses its file.
    named = file.parent if file.name == "digests.json" else file
    assert str(named) in found.corrupt["7"]


@pytest.mark.parametrize("kind", KINDS)
def test_a_byte_that_was_flipped_at_any_place_is_found(run, kind):
    file = file_of(run, kind)
    draw = random.Random(kind)
    for _ in range(20):
        place, value = draw.randrange(file.stat().st_size), draw.randrange(1, 256)
        flip(file, place, value)
        assert_the_one_before_is_used(run, file)
        flip(file, place, value)
    assert survey(run).latest == run / "checkpoints/7", "the same as before"


@pytest.mark.parametrize("kind", KINDS)
def test_a_truncated_file_is_found(run, kind):
    file = file_of(run, kind)
    for size in (file.stat().st_size - 1, file.stat().st_size // 2, 0):
        truncate(file, size)
        assert_the_one_before_is_used(run, file)


@pytest.mark.parametrize("kind", KINDS)
def test_a_deleted_file_is_found(run, kind):
    file = file_of(run, kind)
    file.unlink()
    assert_the_one_before_is_used(run, file)


@pytest.mark.parametrize("item", ["weights", "optimizer", "description", "metrics"])
def test_a_deleted_directory_is_found(run, item):
    shutil.rmtree(run / "checkpoints/7" / item)
    assert survey(run).latest == run / "checkpoints/3"
    set_aside(survey(run), run)
    Checkpoints(run, keep_last=2, keep_best=1).close()
    kept = {path.name for path in (run / "checkpoints").iterdir()}
    assert kept in ({"3", "corrupt-7"}, {"3", "incomplete-7"})


@pytest.mark.parametrize("name", ["_CHECKPOINT_METADATA", "commit_success.txt"])
@pytest.mark.parametrize("harm", ["flipped", "truncated", "deleted"])
def test_nothing_depends_on_the_two_files_that_have_no_digest(run, name, harm):
    """Orbax writes them after the digests. They hold times and a sentence."""
    for step in STEPS:
        file = run / f"checkpoints/{step}" / name
        if harm == "deleted":
            file.unlink()
        elif harm == "truncated":
            truncate(file, file.stat().st_size // 2)
        else:
            flip(file, 0, 1)
    weights, optimizer = arrays()
    assert survey(run).latest == run / "checkpoints/7"
    assert describe(checkpoints.find(run)).step == 7
    checkpoints.read_weights(checkpoints.find(run))
    opened = Checkpoints(run, keep_last=2, keep_best=1)
    opened.restore(7, weights=weights, optimizer=optimizer)
    opened.close()
    save(run, (9,), {9: 0.1})
    assert sorted(path.name for path in (run / "checkpoints").iterdir()) == ["7", "9"]


def test_a_corrupt_checkpoint_is_renamed_with_a_warning(run, caplog):
    file = file_of(run, "optimizer")
    for name in ("corrupt-7", "corrupt-7-2"):
        truncate(file, 0)
        set_aside(survey(run), run)
        assert caplog.messages[-1] == (
            f"{file} is corrupt: it is not the file that was saved; 7 was renamed {name} and is not used"
        )
        assert (run / "checkpoints" / name / file.relative_to(run / "checkpoints/7")).stat().st_size == 0
        save(run, (7,), {7: 0.6})
        file = file_of(run, "optimizer")
    assert survey(run) == checkpoints.Survey(resolve_path(run) / "checkpoints/7")


@pytest.mark.parametrize("kind", ["metrics", "digests"])
def test_an_earlier_checkpoint_whose_metrics_orbax_cannot_read_is_set_aside(run, kind):
    truncate(file_of(run, kind, step=3), 1)
    found = survey(run)
    assert (found.latest, list(found.corrupt)) == (run / "checkpoints/7", ["3"])
    set_aside(found, run)
    save(run, (9,), {9: 0.9})
    assert sorted(path.name for path in (run / "checkpoints").iterdir()) == ["7", "9", "corrupt-3"]


@pytest.mark.parametrize("harm", ["corrupt", "incomplete", "set aside before"])
def test_a_run_without_a_sound_checkpoint_does_not_start_over(run, harm):
    """The same command says so again and again, since nothing is renamed."""
    directory = run / "checkpoints"
    for step in STEPS:
        if harm == "corrupt":
            truncate(file_of(run, "weights", step), 0)
        elif harm == "incomplete":
            shutil.rmtree(directory / str(step) / "weights")
        else:
            (directory / str(step)).rename(directory / f"corrupt-{step}")
    before = sorted(directory.rglob("*"))
    for _ in range(2):
        with pytest.raises(UserError, match=f"{run} has no sound checkpoint to resume from: ") as caught:
            survey(run)
        for step in STEPS:
            name = f"corrupt-{step}" if harm == "set aside before" else str(step)
            assert str(directory / name) in str(caught.value)
        assert str(caught.value).endswith(f"put back a copy of one, or remove {directory} to start over.")
    assert sorted(directory.rglob("*")) == before


def test_a_new_run_has_no_checkpoint(tmp_path):
    for workdir in (tmp_path / "new", tmp_path):
        assert survey(workdir) == checkpoints.Survey()


def test_a_file_that_may_not_be_read_is_no_reason_to_set_a_checkpoint_aside(run, monkeypatch):
    def refuse(path):
        raise PermissionError(13, "Permission denied", str(path))

    monkeypatch.setattr(checkpoints.integrity, "sha256", refuse)
    with pytest.raises(UserError, match=r"Could not read .*: Permission denied; make it readable"):
        survey(run)


def test_a_sector_that_the_disk_cannot_read_is_a_corrupt_file(run, monkeypatch):
    file, sha256 = file_of(run, "weights"), checkpoints.sha256

    def read(path):
        if path == file:
            raise OSError(5, "Input/output error", str(path))
        return sha256(path)

    monkeypatch.setattr(checkpoints.integrity, "sha256", read)
    assert_the_one_before_is_used(run, file)


def test_a_config_is_inherited_from_the_last_sound_description(run):
    assert checkpoints.last_described(run) == run / "checkpoints/7"
    truncate(file_of(run, "description"), 9)
    assert checkpoints.last_described(run) == run / "checkpoints/3"
