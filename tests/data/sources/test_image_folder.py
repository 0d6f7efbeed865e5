import contextlib
import os

import cv2
import numpy as np
import pytest

from flax_googlenet.config import resolve
from flax_googlenet.data import TrainBatches, open_source
from flax_googlenet.data.images.decoding import decode
from flax_googlenet.errors import CorruptImageError, UserError


def write_image(path, value: int = 128) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    cv2.imwrite(str(path), np.full((10, 12, 3), value, np.uint8))


def folder(path):
    return resolve({"data": {"source": "image_folder", "path": str(path)}}).data


def test_image_folder_numbers_classes_by_name(tmp_path):
    for name in ("train/cat/b.png", "train/cat/a.JPG", "train/ant/x.jpeg", "val/ant/1.png", "val/cat/2.webp"):
        write_image(tmp_path / name)
    (tmp_path / "train/cat/notes.txt").write_text("not an image")
    train = open_source(folder(tmp_path), "train")
    assert train.class_names == ("ant", "cat")
    examples = [(train[i].name.removeprefix(f"{tmp_path}/"), train[i].label) for i in range(len(train))]
    assert examples == [("train/ant/x.jpeg", 0), ("train/cat/a.JPG", 1), ("train/cat/b.png", 1)]
    assert decode(train[0].encoded, train[0].name).shape == (10, 12, 3)


@pytest.mark.parametrize("on_error", ["raise", "skip"])
def test_a_file_replaced_by_a_fifo_is_corrupt(tmp_path, on_error):
    for index in range(3):
        write_image(tmp_path / f"train/cat/{index}.png")
    data = resolve({"data": {**folder(tmp_path), "image_size": 32, "resize": 32, "on_error": on_error}}).data
    batches = TrainBatches(open_source(data, "train"), data, seed=0, batch_size=3)
    (tmp_path / "train/cat/1.png").unlink()
    os.mkfifo(tmp_path / "train/cat/1.png")
    batch = batches.empty(3)
    if on_error == "raise":
        with pytest.raises(CorruptImageError, match=rf"^{tmp_path}/train/cat/1.png is not a regular file; "):
            batches.fill(batch, 0, 0)
    else:
        batches.fill(batch, 0, 0)
        assert batch["bad"].sum() == 1


@pytest.mark.parametrize(
    ("files", "words"),
    [
        pytest.param(
            [], "no directory .*/train, .* train/CLASS/IMAGE and .*, or CLASS/IMAGE", id="empty directory"
        ),
        pytest.param(["train/loose.png"], "no class directories", id="no class directories"),
        pytest.param(["train/cat/a.txt"], "no images in", id="empty class"),
        pytest.param(["val/cat/a.png"], "no directory .*/train;", id="only val"),
        pytest.param(["cat/a.txt"], "no images in .*/cat;", id="empty class of the other layout"),
        pytest.param(["cat/a.png"], "only one image in .*/cat, and both splits need one", id="one image"),
    ],
)
def test_unusable_folders_are_named(tmp_path, files, words):
    for name in files:
        write_image((tmp_path / name).with_suffix(".png"))
        (tmp_path / name).with_suffix(".png").rename(tmp_path / name)
    with pytest.raises(UserError, match=words) as caught:
        open_source(folder(tmp_path), "train")
    assert str(tmp_path) in str(caught.value)


def splits(path, share: float = 0.2, seed: int = 0) -> dict[str, list[str]]:
    data = {"source": "image_folder", "path": str(path), "val_share": share, "split_seed": seed}
    sources = {split: open_source(resolve({"data": data}).data, split) for split in ("train", "val")}
    assert sources["train"].class_names == sources["val"].class_names
    return {
        split: [source[i].name.removeprefix(f"{path}/") for i in range(len(source))]
        for split, source in sources.items()
    }


def write_classes(root, **classes: int):
    for name, count in classes.items():
        for index in range(count):
            write_image(root / name / f"{index:02}.png")
    return root


def test_class_directories_are_split_by_the_seed(tmp_path):
    write_classes(tmp_path, cat=20, ant=10)
    drawn = splits(tmp_path)
    everything = sorted(drawn["train"] + drawn["val"])
    assert everything == sorted(str(path.relative_to(tmp_path)) for path in tmp_path.rglob("*.png"))
    assert drawn["val"] == sorted(drawn["val"]), "in the order of their names"
    # A golden value: the split must never change for those who have trained on it.
    assert drawn["val"] == GOLDEN
    assert splits(tmp_path, seed=1)["val"] != drawn["val"]
    write_classes(tmp_path, bee=4)
    kept = [name for name in splits(tmp_path)["val"] if not name.startswith("bee")]
    assert kept == drawn["val"], "another class does not change the others"


GOLDEN = ["ant/01.png", "ant/06.png", "cat/00.png", "cat/11.png", "cat/14.png", "cat/17.png"]


@pytest.mark.parametrize(
    ("images", "share", "held_out"), [(2, 0.01, 1), (2, 0.99, 1), (9, 0.9, 8), (9, 0.3, 3)]
)
def test_each_split_has_at_least_one_image_per_class(tmp_path, images, share, held_out):
    drawn = splits(write_classes(tmp_path, cat=images), share)
    assert (len(drawn["val"]), len(drawn["train"])) == (held_out, images - held_out)


def test_the_split_does_not_depend_on_the_order_of_the_listing(tmp_path, monkeypatch):
    expected = splits(write_classes(tmp_path / "here", cat=9, ant=7))
    listing = os.scandir

    @contextlib.contextmanager
    def backwards(path):
        with listing(path) as entries:
            yield sorted(entries, key=lambda entry: entry.name, reverse=True)

    monkeypatch.setattr(os, "scandir", backwards)
    assert splits(write_classes(tmp_path / "there", cat=9, ant=7)) == expected


def test_a_directory_that_cannot_be_listed_is_named(tmp_path, monkeypatch):
    write_classes(tmp_path, cat=2)

    def refuse(path):
        raise PermissionError(13, "Permission denied", str(path))

    monkeypatch.setattr(os, "scandir", refuse)
    with pytest.raises(UserError, match=f"^{tmp_path} cannot be listed: Permission denied; make it readable"):
        open_source(folder(tmp_path), "train")


def test_images_are_numbered_as_in_a_list(tmp_path):
    source = open_source(folder(write_classes(tmp_path, cat=9, ant=5, bee=2)), "train")
    examples = list(source)
    assert len(examples) == len(source) == 7 + 4 + 1
    assert [example.label for example in examples] == [0] * 4 + [1] + [2] * 7
    assert source[-1] == examples[-1] == source[np.int64(11)]
    assert examples[0].encoded == (tmp_path / examples[0].name).read_bytes()
    with pytest.raises(IndexError):
        source[12]
