import pathlib
import shutil

import numpy as np
import pytest

from flax_googlenet.config import resolve
from flax_googlenet.data import open_source
from flax_googlenet.data.sources.identity import check_same_data, describe_data
from flax_googlenet.errors import UserError


def write_folder(root: pathlib.Path, names=("a", "b"), count=3) -> pathlib.Path:
    for name in names:
        (root / name).mkdir(parents=True)
        for index in range(count):
            (root / name / f"{index}.png").write_bytes(bytes([index]))
    return root


def describe(path: pathlib.Path, **data) -> dict:
    config = resolve({"data": {"path": str(path), "val_share": 0.4, **data}}).data
    return describe_data({split: open_source(config, split) for split in ("train", "val")})


def test_a_folder_may_move(tmp_path):
    before = describe(write_folder(tmp_path / "here"))
    moved = shutil.move(tmp_path / "here", tmp_path / "there")
    assert describe(moved) == before
    check_same_data(before, describe(moved), "run")
    check_same_data({}, describe(moved), "run")  # recorded before checkpoints held the data set


def add(root):
    for index in range(9, 12):
        (root / "a" / f"{index}.png").touch()


def rename(root):
    (root / "a" / "1.png").rename(root / "a" / "9.png")


def rename_class(root):
    (root / "a").rename(root / "c")


def move_to_another_class(root):
    (root / "a" / "2.png").rename(root / "b" / "3.png")


@pytest.mark.parametrize(
    ("change", "data", "words"),
    [
        pytest.param(add, {}, 'split "train": it had 4 examples and has 6', id="added"),
        pytest.param(rename, {}, 'split "train": its 4 examples are not the same', id="renamed"),
        pytest.param(rename_class, {}, "examples are not the same", id="class renamed"),
        pytest.param(move_to_another_class, {}, "examples", id="moved to another class"),
        pytest.param(lambda _: None, {"split_seed": 1}, "examples are not the same", id="another split"),
    ],
)
def test_a_folder_that_changed_is_refused(tmp_path, change, data, words):
    root = write_folder(tmp_path / "data")
    before = describe(root)
    change(root)
    with pytest.raises(UserError, match="has changed in its split") as caught:
        check_same_data(before, describe(root, **data), tmp_path)
    assert words in str(caught.value)
    assert str(tmp_path) in str(caught.value)


def test_the_sample_has_two_splits():
    data = resolve({"data": {"source": "mnist_sample"}}).data
    train, val = (open_source(data, split) for split in ("train", "val"))
    assert train.digest != val.digest
    assert train.digest == open_source(data, "train").digest
    assert np.all([len(source.digest) == 64 for source in (train, val)])
