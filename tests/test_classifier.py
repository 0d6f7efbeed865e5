import cv2
import numpy as np
import pytest

import flax_googlenet
from flax_googlenet.classifier import top_classes


@pytest.fixture(scope="module")
def classifier(trained):
    return flax_googlenet.load(trained)


@pytest.fixture(scope="module")
def pictures(tmp_path_factory, rng):
    directory = tmp_path_factory.mktemp("pictures")
    paths = [directory / f"{i}.png" for i in range(5)]
    for path in paths:
        cv2.imwrite(str(path), rng.integers(0, 256, (40, 52, 3), dtype=np.uint8))
    return paths


@pytest.mark.slow
def test_knows_what_it_is(classifier, trained):
    assert classifier.class_names == tuple("0123456789")
    assert classifier.step == 40
    assert classifier.checkpoint == str(trained / "checkpoints/40")
    assert classifier.config.data.image_size == 32
    assert {"val/top1", "step"} <= set(classifier.history[-1])


@pytest.mark.slow
@pytest.mark.parametrize("batch_size", [1, 2, 5, 32])
def test_batches_do_not_matter(classifier, pictures, batch_size):
    found = classifier.predict(pictures, batch_size)
    assert found.shape == (5, 10)
    assert found.dtype == np.float32
    np.testing.assert_allclose(found.sum(-1), 1, rtol=1e-5)
    np.testing.assert_allclose(found, classifier.predict(pictures), rtol=1e-3, atol=1e-6)


@pytest.mark.slow
def test_tells_how_far_it_is(classifier, pictures):
    heard: list[int] = []
    classifier.predict(pictures, 2, progress=heard.append)
    assert heard == [2, 2, 1]


@pytest.mark.slow
def test_arrays_are_pictures_too(classifier, pictures):
    arrays = [cv2.cvtColor(cv2.imread(str(path)), cv2.COLOR_BGR2RGB) for path in pictures]
    expected = classifier.predict(pictures)
    np.testing.assert_array_equal(classifier.predict(arrays), expected)
    np.testing.assert_array_equal(classifier.predict(np.stack(arrays)), expected)


@pytest.mark.slow
def test_heads_side_by_side(classifier, pictures):
    heads = classifier.predict_heads(pictures)
    assert set(heads) == {"logits", "aux_4a", "aux_4d"}
    np.testing.assert_allclose(heads["logits"], classifier.predict(pictures), rtol=1e-3, atol=1e-6)


@pytest.mark.slow
def test_no_pictures_are_no_predictions(classifier):
    assert classifier.predict([]).shape == (0, 10)


@pytest.mark.slow
@pytest.mark.parametrize("bad", ["one.png", np.zeros((4, 4, 3), np.uint8), [np.zeros((4, 4, 3))]])
def test_what_is_not_a_sequence_of_pictures(classifier, bad):
    with pytest.raises(TypeError, match=r"sequence of images|uint8"):
        classifier.predict(bad)


def test_top_classes_are_ordered():
    found = top_classes(np.array([0.1, 0.6, 0.3]), ["a", "b", "c"], 2)
    assert [each["name"] for each in found] == ["b", "c"]
    assert found[0] == {"label": 1, "name": "b", "probability": 0.6}
