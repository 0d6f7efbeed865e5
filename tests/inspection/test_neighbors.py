import numpy as np
import pytest

from flax_googlenet.config import resolve
from flax_googlenet.errors import CorruptImageError, UserError
from flax_googlenet.inspection.neighbors import nearest, nearest_training_images
from tests.support.sources import Listed, image

GRAYS = (10, 60, 110, 160, 210)


class Brightness:
    """Stands for a classifier whose features are the brightness of an image."""

    def __init__(self, config):
        self.config = config

    def features(self, images, batch_size):
        assert len(images) <= batch_size
        level = np.stack(images).mean(axis=(1, 2, 3))
        return np.stack([level, 255 - level], axis=1).astype(np.float32)


@pytest.fixture
def by_brightness(classifier):
    return Brightness(classifier.config)


def test_the_nearest_are_those_of_a_loop(rng):
    features, candidates = rng.normal(size=(3, 6)), rng.normal(size=(20, 6))
    order, similarities = nearest(features, candidates, 4)
    for own, indices, values in zip(features, order, similarities, strict=True):
        cosines = [own @ other / np.linalg.norm(own) / np.linalg.norm(other) for other in candidates]
        assert indices.tolist() == sorted(range(20), key=lambda index: -cosines[index])[:4]
        np.testing.assert_allclose(values, np.sort(cosines)[::-1][:4])


def test_a_vector_of_zeros_is_like_nothing():
    _, similarities = nearest(np.zeros((1, 2)), np.ones((2, 2)), 2)
    assert similarities.tolist() == [[0, 0]]


def test_the_nearest_training_images(by_brightness):
    source = Listed(*[(image(gray), index % 2) for index, gray in enumerate(GRAYS)])
    own = [np.full((32, 32, 3), gray, np.uint8) for gray in (58, 230)]
    counts: list[int] = []
    first, second = nearest_training_images(by_brightness, own, source, count=2, progress=counts.append)
    assert [neighbor.name for neighbor in first] == ["x1", "x0"]
    assert [neighbor.name for neighbor in second] == ["x4", "x3"]
    assert [neighbor.label for neighbor in second] == [0, 1]
    assert first[0].image.shape == (32, 32, 3)
    assert 0.96 < first[1].similarity < first[0].similarity <= 1.0001
    assert sum(counts) == 5


def test_candidates_are_chosen_at_random_but_always_the_same(by_brightness):
    source = Listed(*[(image(gray), 0) for gray in GRAYS])
    own = [np.full((32, 32, 3), 100, np.uint8)]
    runs = [
        [neighbor.name for neighbor in nearest_training_images(by_brightness, own, source, candidates=3)[0]]
        for _ in range(2)
    ]
    assert runs[0] == runs[1]
    assert len(set(runs[0])) == 3


@pytest.mark.parametrize("corrupt", [b"not an image", OSError(5, "Input/output error")])
def test_corrupt_images_stop_or_are_skipped(by_brightness, corrupt):
    source = Listed((image(10), 0), (corrupt, 1))
    own = [np.full((32, 32, 3), 100, np.uint8)]
    with pytest.raises(CorruptImageError):
        nearest_training_images(by_brightness, own, source)
    by_brightness.config = resolve({"data": {"on_error": "skip", "image_size": 32, "resize": 32}})
    ((only,),) = nearest_training_images(by_brightness, own, source)
    assert only.name == "x0"
    with pytest.raises(UserError, match="No training image could be decoded"):
        nearest_training_images(by_brightness, own, Listed((corrupt, 1)))
