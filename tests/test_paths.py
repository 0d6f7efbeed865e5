import pathlib

import pytest

from flax_googlenet.errors import UserError
from flax_googlenet.paths import is_remote, replace_file, resolve_path


@pytest.mark.parametrize(
    ("path", "resolved", "remote"),
    [
        ("run", "/cwd/run", False),
        (pathlib.Path("run"), "/cwd/run", False),
        ("~/run/", "/home/me/run", False),
        ("/run", "/run", False),
        ("gs://bucket/run", "gs://bucket/run", True),
        ("s3://bucket/~/run/", "s3://bucket/~/run", True),
    ],
)
def test_local_paths_become_absolute(tmp_path, monkeypatch, path, resolved, remote):
    (tmp_path / "cwd").mkdir()
    monkeypatch.chdir(tmp_path / "cwd")
    monkeypatch.setenv("HOME", str(tmp_path / "home/me"))
    expected = str(tmp_path) + resolved if resolved.startswith(("/cwd", "/home")) else resolved
    assert str(resolve_path(path)) == expected
    assert is_remote(resolve_path(path)) == remote


def test_an_unknown_scheme_is_refused():
    with pytest.raises(
        UserError, match="memory://run has an unknown scheme; use a local path or one of gs://"
    ):
        resolve_path("memory://run")


@pytest.mark.parametrize("name", ["run[1]", "run*", "run?"])
def test_a_pattern_is_no_address(tmp_path, name):
    assert resolve_path(tmp_path / name).name == name, "on a disk, it is a name like others"
    with pytest.raises(UserError, match=r"gs://bucket/run.* has a [\[*?], as patterns have; choose an"):
        resolve_path(f"gs://bucket/{name}")


def test_a_file_is_replaced_as_a_whole_or_not_at_all(tmp_path, monkeypatch):
    path = resolve_path(tmp_path / "figures.json")
    replace_file(path, b"old")
    monkeypatch.setattr(type(path), "replace", lambda *_: (_ for _ in ()).throw(OSError("The disk is full.")))
    with pytest.raises(OSError, match="full"):
        replace_file(path, b"new")
    monkeypatch.undo()
    assert path.read_bytes() == b"old"
    assert [entry.name for entry in tmp_path.iterdir()] == ["figures.json"]
    replace_file(path, b"new")
    assert path.read_bytes() == b"new"
