import dataclasses
import functools
import os

import cv2
import jax
import jax.numpy as jnp
import numpy as np
import pytest

import flax_googlenet
from flax_googlenet.classifier import Classifier, top_classes
from flax_googlenet.config import resolve
from flax_googlenet.data import augmentation
from flax_googlenet.models import VGG16, GoogLeNet
from tests.support.networks import random_variables


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
def test_a_loaded_classifier_has_the_names_and_the_config_of_its_run(classifier, trained):
    assert classifier.class_names == tuple("0123456789")
    assert classifier.step == 40
    assert classifier.checkpoint == str(trained / "checkpoints/40")
    assert classifier.config.data.image_size == 32
    assert {"val/top1", "step"} <= set(classifier.history[-1])


@pytest.mark.slow
@pytest.mark.parametrize("batch_size", [1, 2, 5, 32])
def test_predictions_do_not_depend_on_the_batch_size(classifier, pictures, batch_size):
    probabilities = classifier.predict(pictures, batch_size)
    assert probabilities.shape == (5, 10)
    assert probabilities.dtype == np.float32
    np.testing.assert_allclose(probabilities.sum(-1), 1, rtol=1e-5)
    np.testing.assert_allclose(probabilities, classifier.predict(pictures), rtol=1e-3, atol=1e-6)


@pytest.mark.slow
def test_progress_is_reported_per_batch(classifier, pictures):
    counts: list[int] = []
    classifier.predict(pictures, 2, progress=counts.append)
    assert counts == [2, 2, 1]


@pytest.mark.slow
def test_arrays_give_the_predictions_of_files(classifier, pictures):
    arrays = [cv2.cvtColor(cv2.imread(str(path)), cv2.COLOR_BGR2RGB) for path in pictures]
    expected = classifier.predict(pictures)
    np.testing.assert_array_equal(classifier.predict(arrays), expected)
    np.testing.assert_array_equal(classifier.predict(np.stack(arrays)), expected)


@pytest.mark.slow
def test_the_main_head_of_all_heads_is_that_of_predict(classifier, pictures):
    heads = classifier.predict_heads(pictures)
    assert set(heads) == {"logits", "aux_4a", "aux_4d"}
    np.testing.assert_allclose(heads["logits"], classifier.predict(pictures), rtol=1e-3, atol=1e-6)


@pytest.mark.slow
def test_no_images_give_no_predictions(classifier):
    assert classifier.predict([]).shape == (0, 10)


@pytest.mark.slow
@pytest.mark.parametrize("bad", ["one.png", np.zeros((4, 4, 3), np.uint8), [np.zeros((4, 4, 3))]])
def test_arguments_other_than_a_sequence_of_images_are_refused(classifier, bad):
    with pytest.raises(TypeError, match=r"sequence of images|uint8"):
        classifier.predict(bad)


def test_top_classes_are_ordered():
    classes = top_classes(np.array([0.1, 0.6, 0.3]), ["a", "b", "c"], 2)
    assert [row["name"] for row in classes] == ["b", "c"]
    assert classes[0] == {"label": 1, "name": "b", "probability": 0.6}


@pytest.fixture(scope="module")
def small(small_table):
    """Build a small classifier from the options of its network."""

    @functools.cache
    def build(model=None, **options) -> Classifier:
        model = model or GoogLeNet(**{"num_classes": 4, "table": small_table, **options})
        config = resolve({"model": {"num_classes": 4}, "data": {"image_size": 32, "resize": 32}})
        return Classifier(
            model, random_variables(model), config, tuple("abcd"), 3, ({"step": 3.0},), "runs/x"
        )

    return build


def test_repr_is_a_few_lines(small):
    plain = small()
    shown = repr(plain)
    assert shown.splitlines() == [
        "Classifier(",
        "    variant: paper",
        "    classes: 4 (a, b, c, d)",
        f"    parameters: {plain.params:,}",
        "    image size: 32",
        "    step: 3",
        "    checkpoint: runs/x",
        ")",
    ]
    params = plain.variables["params"]
    aux = sum(leaf.size for name in ("aux_4a", "aux_4d") for leaf in jax.tree.leaves(params[name]))
    assert plain.params + aux == sum(leaf.size for leaf in jax.tree.leaves(params))


def test_repr_of_many_classes_is_short(small):
    many = dataclasses.replace(small(), class_names=tuple(f"class number {i}" for i in range(1000)))
    assert "classes: 1000 (class number 0, class number 1, class number 2, class …)" in repr(many)


@pytest.fixture(scope="module")
def images(rng):
    return rng.integers(0, 256, (5, 32, 32, 3), dtype=np.uint8)


@pytest.fixture(scope="module")
def sown(small, images):
    """The outputs of all rows, as Flax records them."""
    classifier = small()

    @jax.jit
    def apply(images):
        normalized = augmentation.normalize(images, classifier.config.data)
        return classifier.model.apply(classifier.variables, normalized, mutable=["intermediates"])[1]

    return apply(images)["intermediates"]


@pytest.mark.parametrize(
    ("layer", "name", "path", "shape"),
    [
        pytest.param(None, "avg_pool", (), (33,), id="by default what the last layer reads"),
        pytest.param("avg_pool", "avg_pool", (), (33,), id="avg_pool"),
        pytest.param("inception_4a", "inception_4a", (), (2, 2, 32), id="a module"),
        pytest.param("conv2", "conv2", ("stem",), (8, 8, 12), id="a row of the stem"),
        pytest.param("head", "head", (), (4,), id="the logits"),
    ],
)
def test_features_are_the_outputs_of_a_row(small, images, sown, layer, name, path, shape):
    found = small().features(images, layer, batch_size=2)
    for part in path:
        sown = sown[part]
    (expected,) = sown[f"{name}_output"]
    assert found.dtype == np.float32
    assert found.shape == (5, *shape)
    assert np.ptp(found) > 0
    np.testing.assert_allclose(found, expected, rtol=0, atol=1e-5 * float(np.abs(found).max()))
    assert small().features([], layer).shape == (0, *shape)


def test_features_of_a_bfloat16_network_are_float32(small, images):
    found = small(dtype=jnp.bfloat16).features(images, "inception_3a")
    expected = small().features(images, "inception_3a")
    assert found.dtype == np.float32
    np.testing.assert_allclose(found, expected, rtol=0, atol=0.05 * float(np.abs(expected).max()))


def test_features_of_other_networks(small):
    images = np.zeros((1, 32, 32, 3), np.uint8)
    assert small(head="fully_connected").features(images).shape == (1, 1024)
    rows = tuple(
        dataclasses.replace(row, filters=tuple(n // 64 for n in row.filters)) for row in VGG16().table
    )
    assert small(VGG16(num_classes=4, table=rows)).features(images).shape == (1, 64)


def test_an_unknown_row_is_named_in_the_error(small):
    with pytest.raises(flax_googlenet.UserError, match='no row "inception4a"; did you mean "inception_4a"'):
        small().features([], "inception4a")
    with pytest.raises(TypeError, match="sequence of images"):
        small().features("one.png")


def test_a_fifo_is_refused_without_waiting(small, tmp_path):
    os.mkfifo(tmp_path / "cat.png")
    with pytest.raises(flax_googlenet.UserError, match=r"cat\.png is not a regular file"):
        small().predict([tmp_path / "cat.png"])
