import json

import cv2
import numpy as np
import pytest

from flax_googlenet.data.checking.data_check import check_data
from flax_googlenet.data.checking.report import (
    HISTOGRAM_FILE,
    REPORT_FILE,
    draw_class_histogram,
    save_report,
)
from tests.support.sources import Listed, image


def test_the_report_and_the_histogram(tmp_path):
    with_warning = image(9, 20, 30, ".jpg")[:-2] + b"more" * 20 + b"\xff\xd9"
    train = Listed((image(1), 0), (image(1), 1), (b"", 0), (image(2), 5), (with_warning, 0), prefix="t")
    val = Listed((image(1), 0), (image(3, suffix=".jpg"), 1), prefix="v")
    check = check_data({"train": train, "val": val})
    save_report(tmp_path / "report", check, {**check.figures(), "network_classes": 2})
    report = json.loads((tmp_path / "report" / REPORT_FILE).read_text())
    assert report["result"] == {**check.figures(), "network_classes": 2}
    (corrupt,) = report["bad_images"]
    assert (corrupt["split"], corrupt["name"]) == ("train", "t2")
    assert corrupt["reason"].startswith("t2 is empty")
    (warning,) = report["damaged_images"]
    assert (warning["split"], warning["name"]) == ("train", "t4")
    assert "extraneous bytes" in warning["reason"]
    assert report["labels_out_of_range"] == [
        {"split": "train", "name": "t3", "reason": "its label is 5 and there are 2 classes"}
    ]
    assert report["copies"] == [
        [
            {"split": "train", "name": "t0", "class_name": "cat"},
            {"split": "train", "name": "t1", "class_name": "dog"},
            {"split": "val", "name": "v0", "class_name": "cat"},
        ]
    ]
    assert report["splits"]["val"] == {
        "examples": 2,
        "formats": {"PNG": 1, "JPEG": 1},
        "shorter_side": {"smallest": 8, "median": 8.0, "largest": 8},
        "longer_side": {"smallest": 12, "median": 12.0, "largest": 12},
        "classes": [{"label": 0, "name": "cat", "images": 1}, {"label": 1, "name": "dog", "images": 1}],
    }
    picture = cv2.imread(str(tmp_path / "report" / HISTOGRAM_FILE))
    assert picture.std() > 10


@pytest.mark.parametrize(
    "name",
    ["$_{$", "\udcff\udcfe", "\u72ac", "a\nb"],
    ids=["tex", "another encoding", "no glyph", "two lines"],
)
def test_any_name_can_be_written(tmp_path, name):
    check = check_data({"train": Listed((image(1), 0), (b"", 0), class_names=(name,), prefix=name)})
    save_report(tmp_path, check, check.figures())
    report = json.loads((tmp_path / REPORT_FILE).read_text(encoding="ascii"))
    assert report["splits"]["train"]["classes"][0]["name"] == name
    assert report["bad_images"][0]["name"] == f"{name}1"
    assert cv2.imread(str(tmp_path / HISTOGRAM_FILE)).std() > 10


def readable_texts(figure) -> list[str]:
    """Return every label that is readable in a figure."""
    figure.canvas.draw()
    texts = []
    for axes in figure.axes:
        labels = [*axes.get_yticklabels(), *axes.get_xticklabels(), *axes.texts]
        texts += [label.get_text() for label in (*labels, axes.title, axes.xaxis.label)]
    return texts


@pytest.mark.parametrize("classes", [1, 2, 10, 60])
def test_few_classes_are_shown_by_name(classes):
    counts = {"train": np.arange(classes) * 7, "val": np.zeros(classes, int)}
    names = {split: [f"class {label}" for label in range(classes)] for split in counts}
    figure = draw_class_histogram(counts, names)
    shown = readable_texts(figure)
    assert [shown.count(name) for name in names["train"]] == [2] * classes
    assert str(7 * (classes - 1)) in shown
    heights = [axes.get_window_extent().height / classes for axes in figure.axes]
    assert min(heights) > 15, "lines of text do not overlap"


def test_many_classes_are_ranked():
    train = np.random.RandomState(0).permutation(1000) + 300
    names = [f"class {label}" for label in range(1000)]
    shown = readable_texts(
        draw_class_histogram(
            {"train": train, "val": np.full(1000, 50)}, dict.fromkeys(("train", "val"), names)
        )
    )
    (line,) = [text for text in shown if "smallest" in text and "1,299" in text]
    largest, smallest = np.argmax(train), np.argmin(train)
    assert f"largest: class {largest} 1,299, " in line
    assert f"smallest: class {smallest} 300, " in line
    assert "val: 50,000 images in 1,000 classes, median 50" in shown


@pytest.mark.parametrize("classes", [3, 100])
def test_any_name_can_be_drawn(classes):
    """Names of directories may be long, invalid Unicode, or contain TeX."""
    names = ["$_{$", "\udcff\udcfe", "a" * 300, *map(str, range(classes - 3))]
    counts = np.r_[9, 8, 7, np.zeros(classes - 3, int)]
    shown = " ".join(readable_texts(draw_class_histogram({"train": counts}, {"train": names})))
    assert "$_{$" in shown
    assert "a" * 20 in shown
    assert "a" * 30 not in shown
