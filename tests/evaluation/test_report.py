import json

import cv2

from flax_googlenet.evaluation.report import CONFUSION_FILE, RESULTS_FILE, save_report

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


def test_many_classes_have_no_picture(tmp_path):
    save_report(tmp_path, {key: value for key, value in FIGURES.items() if key != "confusion"}, ("a", "b"))
    assert [each.name for each in tmp_path.iterdir()] == [RESULTS_FILE]
