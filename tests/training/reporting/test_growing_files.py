import pathlib
import tempfile

import pytest

from flax_googlenet.paths import resolve_path
from flax_googlenet.training.reporting.growing_files import GrowingFiles


@pytest.fixture
def temporary(tmp_path, monkeypatch) -> pathlib.Path:
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    return tmp_path


def test_files_of_a_local_workdir_are_where_they_belong(tmp_path):
    files = GrowingFiles(resolve_path(tmp_path), "test", now=iter([0.0, 1000.0]).__next__)
    assert files.directory == tmp_path
    assert not files.is_due
    files.close()


def test_files_are_uploaded_as_a_whole_once_they_have_changed(bucket, temporary):
    time = 0.0
    workdir = resolve_path(bucket)
    files = GrowingFiles(workdir, "test", now=lambda: time)
    assert files.directory.parent == temporary
    (files.directory / "events").mkdir()
    (files.directory / "events/one").write_text("1")
    (files.directory / "metrics").write_text("a\n")
    assert not files.is_due
    time = 61.0
    assert files.is_due
    files.upload()
    assert not files.is_due
    assert (workdir / "metrics").read_text() == "a\n"
    (workdir / "events/one").unlink()
    with (files.directory / "metrics").open("a") as file:
        file.write("b\n")
    files.close()
    assert (workdir / "metrics").read_text() == "a\nb\n"
    assert not (workdir / "events/one").exists(), "it had not changed"
    assert not list(temporary.iterdir())
