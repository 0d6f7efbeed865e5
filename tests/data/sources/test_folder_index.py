import io
import os
import pathlib
import pickle
import shutil
import threading
import time

import numpy as np
import platformdirs
import pytest

from flax_googlenet.data.sources import folder_index
from flax_googlenet.data.sources.folder_index import index_folder
from tests.support.files import make_socket

HOUR = 3600 * 10**9


@pytest.fixture(autouse=True)
def cache(tmp_path, monkeypatch):
    """The directory of an empty cache."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    return tmp_path / "cache" / "flax_googlenet" / "image_folders"


@pytest.fixture
def root(tmp_path):
    """A folder of three classes of four files, unchanged for an hour."""
    for name in ("ant", "bee", "cat"):
        (tmp_path / "root" / name).mkdir(parents=True)
        for index in range(4):
            (tmp_path / "root" / name / f"{name}_{index}.JPEG").touch()
        settle(tmp_path / "root" / name)
    return tmp_path / "root"


def settle(directory: pathlib.Path, ago: int = HOUR) -> None:
    os.utime(directory, ns=(time.time_ns() - ago,) * 2)


def contents(index) -> list[str]:
    return [f"{index.classes[label]}/{name}" for label, name in (index[i] for i in range(len(index)))]


def on_disk(root) -> list[str]:
    return [str(path.relative_to(root)) for path in sorted(root.glob("*/*"))]


@pytest.fixture
def listed(monkeypatch):
    """A function that indexes a folder and returns its files and the directories that were listed."""
    scandir = os.scandir

    def index_and_record(root):
        directories: list[pathlib.Path] = []
        with monkeypatch.context() as patch:
            patch.setattr(
                os, "scandir", lambda path: (directories.append(pathlib.Path(path)), scandir(path))[1]
            )
            index = index_folder(root)
        # From Python 3.13 on, pathlib lists the directory of the cache with os.scandir as well.
        below_root = [directory for directory in directories if directory.is_relative_to(root)]
        return contents(index), [str(directory.relative_to(root)) for directory in below_root]

    return index_and_record


EVERYTHING = [".", "ant", "bee", "cat"]


def test_files_are_listed_once(root, listed):
    assert listed(root) == (on_disk(root), EVERYTHING)
    assert len(on_disk(root)) == 12
    assert listed(root) == (on_disk(root), ["."])
    assert listed(root) == (on_disk(root), ["."])


def test_an_index_holds_classes_and_files_in_order(root):
    (root / "bee" / "bee_9.png").touch()
    (root / "cat" / "notes.txt").touch()
    (root / "readme.png").touch()
    index = index_folder(root)
    assert (index.classes, index.first, len(index)) == (("ant", "bee", "cat"), (0, 4, 9, 13), 13)
    assert [index[i] for i in (3, 4, 8, 9)] == [
        (0, "ant_3.JPEG"),
        (1, "bee_0.JPEG"),
        (1, "bee_9.png"),
        (2, "cat_0.JPEG"),
    ]


def replace_and_restore_mtime(root) -> None:
    times = (root / "bee").stat()
    shutil.rmtree(root / "bee")
    (root / "bee").mkdir()
    (root / "bee" / "other.png").touch()
    os.utime(root / "bee", ns=(times.st_atime_ns, times.st_mtime_ns))


@pytest.mark.parametrize(
    ("change", "classes"),
    [
        pytest.param(lambda root: (root / "bee" / "new.png").touch(), ["bee"], id="file added"),
        pytest.param(lambda root: (root / "bee" / "bee_1.JPEG").unlink(), ["bee"], id="file removed"),
        pytest.param(
            lambda root: (root / "bee" / "bee_1.JPEG").rename(root / "bee" / "x.JPEG"),
            ["bee"],
            id="file renamed",
        ),
        pytest.param(
            lambda root: (root / "bee" / "bee_1.JPEG").rename(root / "ant" / "x.JPEG"),
            ["ant", "bee"],
            id="file moved",
        ),
        pytest.param(lambda root: shutil.rmtree(root / "bee"), [], id="class removed"),
        pytest.param(lambda root: shutil.copytree(root / "bee", root / "dog"), ["dog"], id="class added"),
        pytest.param(lambda root: (root / "bee").rename(root / "dog"), ["dog"], id="class renamed"),
        pytest.param(replace_and_restore_mtime, ["bee"], id="class replaced, mtime restored"),
    ],
)
def test_only_classes_that_changed_are_listed_again(root, listed, change, classes):
    listed(root)
    change(root)
    assert listed(root) == (on_disk(root), [".", *classes])


@pytest.mark.parametrize(
    "mtime", [lambda: time.time_ns(), lambda: time.time_ns() + HOUR, lambda: 0], ids=["now", "ahead", "none"]
)
def test_a_directory_whose_time_proves_nothing_is_listed_again(root, listed, mtime):
    """A file added within the same tick of the clock does not change the directory's time."""
    os.utime(root / "bee", ns=(0, mtime()))
    assert listed(root)[1] == EVERYTHING
    assert listed(root)[1] == [".", "bee"]
    assert listed(root)[1] == [".", "bee"]
    settle(root / "bee")
    assert listed(root)[1] == [".", "bee"]
    assert listed(root)[1] == ["."]


def flip(file: pathlib.Path) -> None:
    content = bytearray(file.read_bytes())
    content[len(content) // 2] ^= 1
    file.write_bytes(content)


def an_array() -> bytes:
    file = io.BytesIO()
    np.save(file, np.zeros(3))
    return file.getvalue()


def replace(**arrays):
    def write(file: pathlib.Path) -> None:
        with np.load(file) as kept:
            np.savez(file, **{**kept, **arrays})

    return write


@pytest.mark.parametrize(
    "corrupt",
    [
        pytest.param(lambda file: file.write_bytes(b""), id="empty"),
        pytest.param(lambda file: file.write_bytes(b"not an archive"), id="not an archive"),
        pytest.param(lambda file: file.write_bytes(file.read_bytes()[:-100]), id="truncated"),
        pytest.param(lambda file: file.write_bytes(an_array()), id="an array"),
        pytest.param(lambda file: np.savez(file, names=np.zeros(3)), id="other arrays"),
        pytest.param(flip, id="flipped bit"),
        pytest.param(replace(stamp=np.frombuffer(b"index 0", np.uint8)), id="another version"),
        pytest.param(replace(sizes=np.array([1, 2])), id="missing class"),
    ],
)
def test_a_corrupt_cache_is_replaced(root, listed, cache, corrupt):
    listed(root)
    (file,) = cache.iterdir()
    corrupt(file)
    assert listed(root) == (on_disk(root), EVERYTHING)
    assert [entry.name for entry in cache.iterdir()] == [file.name]
    assert listed(root) == (on_disk(root), ["."])


def test_the_cache_of_another_folder_is_not_used(root, listed, cache):
    other = root.with_name("other")
    shutil.copytree(root, other)
    listed(other)
    (file,) = cache.iterdir()
    listed(root)
    (cache_of_root,) = set(cache.iterdir()) - {file}
    file.replace(cache_of_root)
    assert listed(root) == (on_disk(root), EVERYTHING)


def no_home(_) -> pathlib.Path:
    raise RuntimeError("could not determine the home directory")


@pytest.mark.parametrize(
    "find",
    [
        pytest.param(lambda _: pathlib.Path(__file__), id="a file in its place"),
        pytest.param(no_home, id="no home"),
        pytest.param(lambda _: pathlib.Path("~/.cache"), id="no home, older platformdirs"),
    ],
)
def test_a_folder_is_indexed_without_a_cache(root, listed, tmp_path, monkeypatch, find):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(platformdirs, "user_cache_path", find)
    before = sorted(tmp_path.rglob("*"))
    for _ in range(2):
        assert listed(root) == (on_disk(root), EVERYTHING)
    assert sorted(tmp_path.rglob("*")) == before


def test_a_full_disk_leaves_no_partial_cache(root, listed, cache, monkeypatch):
    def fail(*_, **__):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(np, "savez_compressed", fail)
    assert listed(root) == (on_disk(root), EVERYTHING)
    assert list(cache.iterdir()) == []


def test_a_cache_of_another_user_is_read(root, listed, monkeypatch):
    listed(root)

    def refuse(*_, **__):
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(pathlib.Path, "touch", refuse)
    assert listed(root)[1] == ["."]


def test_the_folder_itself_is_not_changed(root, listed):
    before = {path: path.stat().st_mtime_ns for path in [root, *root.rglob("*")]}
    listed(root)
    assert {path: path.stat().st_mtime_ns for path in [root, *root.rglob("*")]} == before


def test_a_cache_is_written_and_read_at_the_same_time(root, cache):
    index_folder(root)
    (file,) = cache.iterdir()
    expected = folder_index._load(file, root)
    assert len(expected) == 3
    writers = [
        threading.Thread(target=lambda: [folder_index._save(file, root, expected) for _ in range(20)])
        for _ in range(4)
    ]
    for writer in writers:
        writer.start()
    reads = 0
    while any(writer.is_alive() for writer in writers):
        assert folder_index._load(file, root) == expected
        reads += 1
    assert reads
    assert list(cache.iterdir()) == [file]


def test_the_oldest_caches_are_removed(root, listed, cache, monkeypatch):
    monkeypatch.setattr(folder_index, "_KEPT_CACHES", 2)
    others = [root.with_name(name) for name in ("first", "second", "third")]
    for other in others:
        shutil.copytree(root, other)
    for count, other in enumerate(others):
        listed(other)
        assert len(list(cache.iterdir())) == min(count + 1, 2)
        for file in cache.iterdir():  # an hour passes
            os.utime(file, ns=(0, file.stat().st_mtime_ns - HOUR))
    assert listed(others[2])[1] == ["."]
    assert listed(others[0])[1] == EVERYTHING


def test_names_may_be_any_that_the_file_system_takes(root, listed):
    odd = ["\ud83d\ude00.png".encode("utf-16", "surrogatepass").decode("utf-16"), "\uffee.png", "a\nb.png"]
    raw = [os.fsencode(name) for name in odd] + [b"\xff\xfe.png", b"\xc3.JPG"]
    for name in [*raw, b".png", b"x.png.txt", b"png"]:
        (root / "ant" / os.fsdecode(name)).touch()
    expected = sorted(os.fsdecode(name) for name in raw) + [f"ant_{i}.JPEG" for i in range(4)]
    settle(root / "ant")
    for _ in range(2):
        names = [path.removeprefix("ant/") for path in listed(root)[0] if path.startswith("ant/")]
        assert names == sorted(expected)
    assert listed(root)[1] == ["."]


OTHER_THAN_FILES = {
    "a fifo": os.mkfifo,
    "a socket": make_socket,
    "a directory": pathlib.Path.mkdir,
    "a link to a fifo": lambda path: [os.mkfifo(path.parent / "pipe"), path.symlink_to("pipe")],
    "a link to a device": lambda path: path.symlink_to("/dev/zero"),
    "a link to a directory": lambda path: path.symlink_to("."),
}


@pytest.mark.parametrize("kind", OTHER_THAN_FILES)
def test_only_files_are_images(root, listed, kind):
    expected = on_disk(root)
    OTHER_THAN_FILES[kind](root / "bee" / "x.jpg")
    settle(root / "bee")
    assert listed(root)[0] == expected
    assert listed(root) == (expected, ["."])


@pytest.mark.parametrize("target", ["../ant/ant_0.JPEG", "nowhere", "x.jpg"])
def test_links_are_listed(root, listed, target):
    """Broken links too, so that they are not left out silently."""
    (root / "bee" / "x.jpg").symlink_to(target)
    assert "bee/x.jpg" in listed(root)[0]


def test_the_cache_of_an_older_version_does_not_hide_a_fifo(root, listed, monkeypatch):
    expected = on_disk(root)
    os.mkfifo(root / "bee" / "x.jpg")
    settle(root / "bee")
    with monkeypatch.context() as older:
        older.setattr(folder_index, "_FORMAT", folder_index._FORMAT.replace("index 2", "index 1"))
        older.setattr(folder_index, "_may_be_file", lambda _: True)
        assert "bee/x.jpg" in listed(root)[0]
    assert listed(root) == (expected, EVERYTHING)


def test_a_file_takes_a_few_bytes(root):
    for i in range(3000):
        (root / "bee" / f"n01440764_{i:05}.JPEG").touch()
    index = index_folder(root)
    assert len(index) == 3012
    assert len(pickle.dumps(index)) < 30 * len(index)
