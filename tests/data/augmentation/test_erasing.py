import jax
import jax.numpy as jnp
import numpy as np
import pytest

from flax_googlenet.data.augmentation.erasing import AREA, ASPECT, random_erasing

SIZE = 100


@pytest.fixture(scope="module")
def boxes():
    """The masks of the boxes of 1,000 images, each erased with probability 0.25."""
    images = jnp.zeros((1000, SIZE, SIZE, 3))
    erased = np.asarray(random_erasing(jax.random.key(0), images, 0.25, jnp.asarray([1.0, 2.0, 3.0])))
    mask = erased[..., 0] == 1
    np.testing.assert_array_equal(erased, mask[..., None] * np.array([1.0, 2.0, 3.0]))
    return mask


def test_erases_one_box_or_none(boxes):
    rows, columns = boxes.any(2), boxes.any(1)
    np.testing.assert_array_equal(boxes, rows[:, :, None] & columns[:, None, :])
    for sides in (rows, columns):
        edges = np.abs(np.diff(np.pad(sides, ((0, 0), (1, 1))).astype(int), axis=1)).sum(1)
        assert set(edges) == {0, 2}
    assert 210 < boxes.any((1, 2)).sum() < 290


def test_areas_and_aspects_are_those_of_the_paper(boxes):
    boxes = boxes[boxes.any((1, 2))]
    heights, widths = boxes.any(2).sum(1), boxes.any(1).sum(1)
    # Sides are rounded to whole pixels.
    assert ((heights + 0.5) * (widths + 0.5) >= AREA[0] * SIZE**2).all()
    assert ((heights - 0.5) * (widths - 0.5) <= AREA[1] * SIZE**2).all()
    assert ((heights + 0.5) / (widths - 0.5) >= ASPECT[0]).all()
    assert ((heights - 0.5) / (widths + 0.5) <= ASPECT[1]).all()
    area = heights * widths / SIZE**2
    assert area.mean() == pytest.approx(sum(AREA) / 2, abs=0.02)
    assert np.log(heights / widths).mean() == pytest.approx(0, abs=0.15)
    assert np.log(heights / widths).std() == pytest.approx(np.log(ASPECT[1]) / 3**0.5, abs=0.1)


def test_boxes_lie_anywhere(boxes):
    covered = boxes[boxes.any((1, 2))].mean(0)
    np.testing.assert_allclose(covered, covered[::-1, ::-1], atol=0.12)
    assert covered.any(0).all()
    assert covered.any(1).all()


def test_noise_takes_every_level():
    images = jnp.full((64, SIZE, SIZE, 3), -1.0)
    erased = np.asarray(random_erasing(jax.random.key(0), images, 1.0, None))
    noise = erased[erased[..., 0] != -1].astype(int)
    assert len(noise) > 50_000
    np.testing.assert_array_equal(noise, erased[erased[..., 0] != -1])
    frequency = np.stack([np.bincount(channel, minlength=256) for channel in noise.T]) / len(noise) * 256
    assert frequency.shape == (3, 256)
    np.testing.assert_allclose(frequency, 1, atol=0.4)
    np.testing.assert_allclose(np.corrcoef(noise.T), np.eye(3), atol=0.02)
