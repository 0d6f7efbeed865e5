import cv2
import jax
import numpy as np
import pytest

from flax_googlenet import Classifier, evaluate
from flax_googlenet.config import resolve
from flax_googlenet.models import GoogLeNet
from studies.crops_and_ensembles.measurement import measure, without_averaging
from studies.crops_and_ensembles.table import crops_and_ensembles
from tests.studies.conditions import CONDITIONS
from tests.support.checkpoints import save
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


@pytest.mark.parametrize("averaged", [True, False])
def test_the_weights_of_the_last_step_are_those_before_averaging(tmp_path, averaged):
    weights, _ = save(tmp_path, averaged=averaged, statistics=True)
    config = resolve({"model": {"num_classes": 2}})
    checkpoint = str(tmp_path / "checkpoints/1")
    network = Classifier(None, {}, config, ("a", "b"), 1, (), checkpoint)
    found = without_averaging(network)
    if not averaged:
        assert found is None
        return
    assert found.variables.keys() == {"params", "batch_stats"}
    for name, tree in found.variables.items():
        jax.tree.map(np.testing.assert_array_equal, tree, weights[name])


def test_the_table_has_the_papers_errors_beside_ours():
    def figures(mean, ensemble):
        return {"mean": {"top1": mean, "top5": 0.9}, "ensemble": {"top1": ensemble, "top5": 0.95}}

    result = {"models": 3, "crops": {"1": figures(0.5, 0.6), "10": figures(0.52, 0.61)}}
    result |= {"without_averaging": figures(0.4, 0.5), "conditions": CONDITIONS}
    table = crops_and_ensembles(result)
    assert "| crops | one, top-1 | 3, top-1 | one, top-5 | 3, top-5 | paper: one, top-5 | 7, top-5 |" in table
    assert "| 1, weights of the last step | 60.0 | 50.0 | 10.0 | 5.0 | | |" in table
    assert "| 1 | 50.0 | 40.0 | 10.0 | 5.0 | 10.07 | 8.09 |" in table
    assert "| 10 | 48.0 | 39.0 | 10.0 | 5.0 | 9.15 | 7.62 |" in table
    assert "Commit abc; 1 x cpu, 2 cores" in table
