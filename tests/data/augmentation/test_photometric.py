import itertools

import jax
import jax.numpy as jnp
import numpy as np
import PIL.Image
import PIL.ImageEnhance
import pytest

from flax_googlenet.data.augmentation.photometric import (
    distort,
    random_distortion,
    random_lighting,
    random_orders,
)
from tests.support.images import square_photograph

ENHANCERS = (PIL.ImageEnhance.Brightness, PIL.ImageEnhance.Contrast, PIL.ImageEnhance.Color)


@pytest.mark.parametrize("order", list(itertools.permutations(range(3))), ids=str)
@pytest.mark.parametrize("factors", [(0.5, 0.7, 1.5), (1.5, 1.4, 0.5)], ids=str)
def test_distortion_equals_pillow(order, factors):
    image = square_photograph(48)
    expected = PIL.Image.fromarray(image)
    for kind, factor in zip(order, factors, strict=True):
        expected = ENHANCERS[kind](expected).enhance(factor)
    distorted = distort(jnp.asarray(image[None], jnp.float32), jnp.asarray([order]), jnp.asarray([factors]))
    # Pillow truncates to whole levels three times, and magnifies the errors.
    assert distorted.dtype == jnp.float32
    difference = np.asarray(distorted[0]) - np.asarray(expected, np.float32)
    assert -0.8 < difference.min() < difference.max() < 4
    assert 0 <= distorted.min() < distorted.max() <= 255


def test_the_order_matters_where_pixels_are_clipped():
    images = jnp.asarray(np.broadcast_to(square_photograph(48), (6, 48, 48, 3)), jnp.float32)
    orders = jnp.asarray(list(itertools.permutations(range(3))))
    factors = jnp.asarray([1.5, 1.2, 0.6])[orders]  # the same factor for a change in every order
    results = {np.asarray(image).tobytes() for image in distort(images, orders, factors)}
    assert len(results) == 6


def test_orders_are_equally_frequent():
    orders = np.asarray(random_orders(jax.random.key(0), 6000))
    distinct, counts = np.unique(orders, axis=0, return_counts=True)
    assert distinct.tolist() == list(map(list, itertools.permutations(range(3))))
    assert counts.min() > 880
    assert counts.max() < 1120


def test_factors_are_uniform():
    """Only brightness changes images of one gray level."""
    images = jnp.full((4000, 1, 1, 3), 100.0)
    levels = np.sort(np.asarray(random_distortion(jax.random.key(1), images, 0.5)[:, 0, 0, 0]))
    np.testing.assert_allclose(levels, np.linspace(50, 150, 4000), atol=4)


def test_images_change_independently():
    images = jnp.asarray(np.broadcast_to(square_photograph(8), (16, 8, 8, 3)), jnp.float32)
    for changed in (
        random_distortion(jax.random.key(0), images, 0.5),
        random_lighting(jax.random.key(0), images, 0.1),
    ):
        assert len({np.asarray(image).tobytes() for image in changed}) == 16


def test_lighting_is_along_the_principal_components():
    """The covariance is deviation**2 P diag(lambda**2) P'. The constants are fb.resnet.torch's times 255."""
    values = 255 * np.array([0.2175, 0.0188, 0.0045])
    vectors = np.array([[-0.5675, 0.7192, 0.4009], [-0.5808, -0.0045, -0.8140], [-0.5836, -0.6948, 0.4203]])
    images = jnp.broadcast_to(jnp.asarray([100.0, 120.0, 140.0]), (20000, 2, 1, 3))
    added = np.asarray(random_lighting(jax.random.key(0), images, 0.1) - images)
    np.testing.assert_array_equal(added[:, 0], added[:, 1])
    colors = added[:, 0, 0]
    np.testing.assert_allclose(colors.mean(0), 0, atol=0.1)
    components = colors @ np.linalg.inv(vectors).T / values
    np.testing.assert_allclose(np.cov(components.T), 0.01 * np.eye(3), atol=4e-4)


def test_lighting_keeps_to_the_range():
    images = jnp.broadcast_to(jnp.asarray([0.0, 255.0]).reshape(1, 2, 1, 1), (100, 2, 1, 3))
    changed = random_lighting(jax.random.key(0), images, 0.5)
    assert (changed.min(), changed.max()) == (0, 255)
