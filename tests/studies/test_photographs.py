import pytest

from flax_googlenet.data.sources.image_folder import ImageFolder
from flax_googlenet.errors import UserError
from studies.photographs import link_classes
from tests.studies.small import write_photographs

SIZES = {"ant": 5, "bee": 7, "cat": 7, "dog": 6, "eel": 9}


def classes(folder, split="train"):
    return ImageFolder(str(folder), split).class_names


def test_the_classes_with_most_images_are_linked(tmp_path):
    write_photographs(tmp_path / "all", SIZES)
    folder = link_classes(str(tmp_path / "all"), 2, tmp_path / "images")
    assert classes(folder) == ("bee", "eel"), "of equals, the first name"
    assert link_classes(str(tmp_path / "all"), 3, tmp_path / "images") == folder
    assert classes(folder) == ("bee", "cat", "eel")
    assert sum(len(ImageFolder(str(folder), split)) for split in ("train", "val")) == 7 + 7 + 9


def test_the_images_held_out_depend_only_on_their_names(tmp_path):
    write_photographs(tmp_path / "all", SIZES)
    few, many = (link_classes(str(tmp_path / "all"), n, tmp_path / str(n)) for n in (1, 5))
    held_out = {example.name.rpartition("/")[2] for example in ImageFolder(str(few), "val")}
    of_all = {
        example.name.rpartition("/")[2] for example in ImageFolder(str(many), "val") if example.label == 4
    }
    assert held_out == of_all


def test_a_folder_with_splits_keeps_them(tmp_path):
    for split, extra in (("train", 0), ("val", 3)):
        write_photographs(tmp_path / "all" / split, {name: size + extra for name, size in SIZES.items()})
    folder = link_classes(str(tmp_path / "all"), 1, tmp_path / "images")
    assert (classes(folder), classes(folder, "val")) == (("eel",), ("eel",))
    assert len(ImageFolder(str(folder), "val")) == 9 + 3


def test_mistakes_are_named(tmp_path):
    write_photographs(tmp_path / "all", {"ant": 2})
    (tmp_path / "all/empty").mkdir()
    with pytest.raises(UserError, match="has 1 classes with images, fewer than --classes=2"):
        link_classes(str(tmp_path / "all"), 2, tmp_path / "images")
    with pytest.raises(UserError, match=r"There is no directory .*nowhere"):
        link_classes(str(tmp_path / "nowhere"), 2, tmp_path / "images")
    (tmp_path / "val").mkdir()
    with pytest.raises(UserError, match="has val/ but no train/"):
        link_classes(str(tmp_path), 2, tmp_path / "images")
