import jax
import numpy as np
import pytest

from flax_googlenet.config import resolve
from flax_googlenet.sharding import data_mesh, split_batch
from flax_googlenet.training.reporting.samples import COUNT, augmented_samples


def samples(images: np.ndarray, devices: int = 1, **data) -> np.ndarray:
    labels = np.arange(len(images), dtype=np.int32) % 4
    split = split_batch(data_mesh(jax.devices()[:devices]))
    batch = jax.device_put({"image": images, "label": labels}, split)
    return augmented_samples(batch, resolve({"model": {"num_classes": 4}, "data": data}))


@pytest.fixture(scope="module")
def images(rng):
    return rng.integers(0, 256, (32, 9, 8, 3), dtype=np.uint8)


@pytest.mark.parametrize("order", ["rgb", "bgr"])
@pytest.mark.parametrize("devices", [1, 8])
def test_the_normalization_is_undone(images, order, devices):
    result = samples(images, devices, mirror=False, channel_order=order)
    assert result.dtype == np.uint8
    np.testing.assert_array_equal(result, images[: min(COUNT, 32 // devices)])


def test_images_are_augmented(images):
    result = samples(images, mirror=True)
    flipped = [np.array_equal(a, b[:, ::-1]) for a, b in zip(result, images, strict=False)]
    same = [np.array_equal(a, b) for a, b in zip(result, images, strict=False)]
    assert all(a != b for a, b in zip(flipped, same, strict=True))
    assert any(flipped)
    assert any(same)


def test_images_are_mixed(images):
    assert not np.array_equal(samples(images, mirror=False, mixup=1.0), images[:COUNT])
