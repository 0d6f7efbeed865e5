import cv2
import numpy as np
import pytest

from flax_googlenet import Classifier, evaluate
from flax_googlenet.config import resolve
from flax_googlenet.models import GoogLeNet
from studies.crops_and_ensembles.measurement import measure
from tests.support.networks import random_variables

CLASSES = tuple("abcdefgh")


@pytest.fixture
def classifiers(tmp_path, rng, small_table):
    for name in CLASSES:
        (tmp_path / "val" / name).mkdir(parents=True)
        image = rng.integers(0, 256, (36, 40, 3), dtype=np.uint8)
        cv2.imwrite(str(tmp_path / "val" / name / "0.png"), image)
    model = GoogLeNet(num_classes=len(CLASSES), table=small_table)
    data = {"path": str(tmp_path), "image_size": 32, "resize": 36}
    config = resolve({"model": {"num_classes": len(CLASSES)}, "data": data})
    return [
        Classifier(model, random_variables(model, seed), config, CLASSES, 1, (), f"seed {seed}")
        for seed in (0, 1, 2)
    ]


@pytest.mark.slow
def test_members_and_their_ensemble_are_evaluated_with_every_number_of_crops(classifiers):
    result = measure(classifiers, (1, 10))
    assert list(result) == ["1", "10"]
    for crops, figures in result.items():
        expected = [evaluate(classifier, crops=int(crops)) for classifier in classifiers]
        assert figures["members"] == [{name: each[name] for name in ("top1", "top5")} for each in expected]
        assert figures["mean"]["top5"] == pytest.approx(np.mean([each["top5"] for each in expected]))
        ensemble = evaluate(classifiers, crops=int(crops))
        assert figures["ensemble"] == {name: ensemble[name] for name in ("top1", "top5")}
