import dataclasses
import json

import cv2
import numpy as np
import pytest

from flax_googlenet import Classifier, UserError, evaluate
from flax_googlenet.config import resolve
from flax_googlenet.data import open_source
from flax_googlenet.evaluation import Evaluator, Member
from flax_googlenet.models import GoogLeNet
from flax_googlenet.sharding import data_mesh
from tests.support.networks import random_variables

CLASSES = ("ant", "bee", "cat")
PER_CLASS = 3


@pytest.fixture(scope="module")
def folder(tmp_path_factory, rng):
    root = tmp_path_factory.mktemp("images")
    for name in CLASSES:
        (root / "val" / name).mkdir(parents=True)
        for index in range(PER_CLASS):
            image = rng.integers(0, 256, (36, 40, 3), dtype=np.uint8)
            cv2.imwrite(str(root / "val" / name / f"{index}.png"), image)
    return root


@pytest.fixture(scope="module")
def classifier(folder, small_table):
    """Build an untrained classifier from its number of auxiliary heads and a seed."""

    def build(aux_heads=2, seed=0) -> Classifier:
        model = GoogLeNet(num_classes=3, table=small_table, aux_heads=aux_heads)
        data = {"path": str(folder), "image_size": 32, "resize": 36}
        config = resolve({"model": {"num_classes": 3, "aux_heads": aux_heads}, "data": data})
        return Classifier(model, random_variables(model, seed), config, CLASSES, 1, (), f"heads-{aux_heads}")

    return build


def test_figures_and_report_are_those_of_the_evaluator(classifier, tmp_path):
    one, other = classifier(), classifier(seed=1)
    figures = evaluate([one, other], crops=10, aux_heads=True, out=tmp_path / "report")
    evaluator = Evaluator(
        [Member(one.model, one.config.data)] * 2,
        open_source(one.config.data, "val"),
        data_mesh(),
        batch_size=100,
        number_of_crops=10,
        all_heads=True,
        detailed=True,
    )
    expected = evaluator([one.variables, other.variables])
    assert expected["num_examples"] == len(CLASSES) * PER_CLASS
    described = {"models": 2, "crops": 10, "checkpoint": "heads-2,heads-2"}
    assert figures == {**expected, **described}
    written = json.loads((tmp_path / "report/results.json").read_text())
    assert (written["top1"], written["crops"]) == (figures["top1"], 10)
    assert [row["name"] for row in written["classes"]] == list(CLASSES)
    assert (tmp_path / "report/confusion.png").exists()


def test_data_and_batch_size_replace_those_of_the_config(classifier, folder):
    moved = classifier()
    config = resolve({**moved.config.to_dict(), "data": {**moved.config.data.to_dict(), "path": "/gone"}})
    moved = dataclasses.replace(moved, config=config)
    with pytest.raises(UserError, match="/gone"):
        evaluate(moved)
    figures = evaluate(moved, data={"path": str(folder)}, batch_size=3)
    expected = evaluate(classifier())
    assert figures["top1"] == expected["top1"]
    np.testing.assert_allclose(figures["loss"], expected["loss"], rtol=1e-5)
    assert (figures["models"], figures["crops"]) == (1, 1)


@pytest.mark.parametrize(
    ("heads", "options", "words"),
    [
        pytest.param(
            [0], {"aux_heads": True}, "heads-0 has no auxiliary heads; leave out aux_heads", id="none"
        ),
        pytest.param(
            [2, 1],
            {"aux_heads": True},
            "heads-2 has the heads logits, aux_4a and aux_4d, but heads-1 has logits and aux_4d",
            id="two and one",
        ),
        pytest.param([], {}, "There is no checkpoint to evaluate", id="nothing"),
        pytest.param([2], {"crops": 7}, "crops is one of 1, 10, 144", id="crops"),
        pytest.param([2], {"batch_size": 0}, "config.evaluation.batch_size is 0", id="batch size"),
        pytest.param([2], {"data": {"pth": "x"}}, 'no key "data.pth"', id="a key"),
        pytest.param([2], {"out": "/proc/report"}, "Cannot write to /proc/report", id="out"),
    ],
)
def test_mistakes_are_one_sentence(classifier, heads, options, words):
    with pytest.raises(UserError) as caught:
        evaluate([classifier(count) for count in heads], **options)
    assert words in str(caught.value)


def test_a_network_of_other_classes_is_refused(classifier):
    other = dataclasses.replace(classifier(seed=1), class_names=("ant", "cat", "dog"), checkpoint="other")
    with pytest.raises(UserError, match="The classes of other and of the data set differ") as caught:
        evaluate([classifier(), other])
    assert 'class 1 is "cat" in the one and "bee" in the other' in str(caught.value)
