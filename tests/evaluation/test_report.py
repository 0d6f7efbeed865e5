import json

import cv2
import pytest

from flax_googlenet.evaluation.report import CONFUSION_FILE, RESULTS_FILE, draw_confusion, save_report
from flax_googlenet.pictures import caption

FIGURES = {
    "top1": 0.75,
    "ece": 0.1,
    "class_accuracy": [1.0, 0.5],
    "class_examples": [2, 2],
    "confusion": [[2, 0], [1, 1]],
}


def test_results_and_confusion(tmp_path):
    save_report(tmp_path / "report", FIGURES, ("cat", "dog"))
    written = json.loads((tmp_path / "report" / RESULTS_FILE).read_text())
    assert written["top1"] == 0.75
    assert written["classes"][1] == {"label": 1, "name": "dog", "accuracy": 0.5, "examples": 2}
    picture = cv2.imread(str(tmp_path / "report" / CONFUSION_FILE))
    assert min(picture.shape[:2]) > 200
    assert picture.std() > 10


ODD_NAMES = {
    "tex": "$_{$",
    "two dollars": "a$b$c",
    "another encoding": "\udcff\udcfe",
    "no glyph": "\u72ac",
    "two lines": "a\nb",
    "a bell": "\a",
    "long": "a" * 300,
}


@pytest.mark.parametrize("name", ODD_NAMES.values(), ids=ODD_NAMES)
def test_any_name_can_be_drawn_and_written(tmp_path, name):
    save_report(tmp_path, FIGURES, (name, "dog"))
    written = json.loads((tmp_path / RESULTS_FILE).read_text(encoding="ascii"))
    assert written["classes"][0]["name"] == name
    assert cv2.imread(str(tmp_path / CONFUSION_FILE)).std() > 10
    axes = draw_confusion(FIGURES["confusion"], (name, "dog")).axes[0]
    shown = [label.get_text() for label in (*axes.get_xticklabels(), *axes.get_yticklabels())]
    assert shown.count(caption(name)) == 2
    assert len(shown[0]) <= 24


def test_many_classes_have_no_picture(tmp_path):
    save_report(tmp_path, {key: value for key, value in FIGURES.items() if key != "confusion"}, ("a", "b"))
    assert [path.name for path in tmp_path.iterdir()] == [RESULTS_FILE]
