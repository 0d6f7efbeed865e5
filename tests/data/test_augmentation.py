import jax
import jax.numpy as jnp
import numpy as np

from flax_googlenet.config import resolve
from flax_googlenet.data.augmentation import normalize, random_mirror


def test_normalize_is_pixel_minus_mean_over_std(rng):
    data = resolve({"data": {"mean": (1.0, 2.0, 3.0), "std": (10.0, 20.0, 40.0)}}).data
    images = rng.integers(0, 256, (2, 3, 3, 3), dtype=np.uint8)
    expected = (images - np.array([1, 2, 3])) / np.array([10, 20, 40])
    np.testing.assert_allclose(normalize(jnp.asarray(images), data), expected, rtol=1e-6, atol=1e-6)


def test_channels_turn_round_after_normalising(rng):
    values = {"mean": (1.0, 2.0, 3.0), "std": (10.0, 20.0, 40.0)}
    images = jnp.asarray(rng.integers(0, 256, (2, 3, 3, 3), dtype=np.uint8))
    red_first = normalize(images, resolve({"data": values}).data)
    blue_first = normalize(images, resolve({"data": {**values, "channel_order": "bgr"}}).data)
    np.testing.assert_array_equal(blue_first, red_first[..., ::-1])


def test_mirror_flips_about_half_and_nothing_else():
    images = jnp.broadcast_to(jnp.arange(3.0)[None, None, :, None], (1000, 2, 3, 1))
    flipped = random_mirror(jax.random.key(0), images)
    first = np.asarray(flipped[:, 0, 0, 0])
    assert set(first) == {0, 2}
    assert 430 < (first == 2).sum() < 570
    np.testing.assert_array_equal(flipped[first == 2], images[first == 2][:, :, ::-1])
