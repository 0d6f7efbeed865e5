import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from flax_googlenet.config import resolve
from flax_googlenet.data.augmentation.pipeline import augment, normalize, random_flip
from flax_googlenet.sharding import data_mesh, replicate, split_batch

CLASSES = 5

# One row per augmentation, and rows for those that depend on each other.
OPTIONS = [
    {"randaugment": 2},
    {"photometric": 0.5},
    {"lighting": 0.1},
    {"mixup": 0.2},
    {"cutmix": 1.0},
    {"mixup": 0.8, "cutmix": 1.0},
    {"erasing": 0.5},
    {"erasing": 0.5, "erasing_fill": "mean"},
    {"randaugment": 1, "photometric": 0.4, "lighting": 0.1, "mixup": 0.2, "cutmix": 1.0, "erasing": 0.25},
]


@pytest.fixture(scope="module")
def batch(rng):
    images = rng.integers(0, 256, (16, 24, 24, 3), dtype=np.uint8)
    return images, rng.integers(0, CLASSES, 16).astype(np.int32)


def augmented(batch, options, seed: int = 0, devices: int = 1):
    """Augment a batch as the step does, on a number of devices."""
    return jax.device_get(compiled(tuple(options.items()), devices)(jax.random.key(seed), *batch))


@functools.cache
def compiled(options, devices: int):
    mesh = data_mesh(jax.devices()[:devices])
    split, data = split_batch(mesh), resolve({"data": dict(options)}).data

    @functools.partial(
        jax.jit,
        in_shardings=(replicate(mesh), split, split),
        out_shardings=split,
        # As in real runs. Without, roundings depend on the number of images on a device.
        compiler_options={"xla_cpu_use_fusion_emitters": True},
    )
    def run(key, images, labels):
        return augment(key, jax.random.split(key)[0], images, labels, data, CLASSES)

    return run


def test_normalize_is_pixel_minus_mean_over_std(rng):
    data = resolve({"data": {"mean": (1.0, 2.0, 3.0), "std": (10.0, 20.0, 40.0)}}).data
    images = rng.integers(0, 256, (2, 3, 3, 3), dtype=np.uint8)
    expected = (images - np.array([1, 2, 3])) / np.array([10, 20, 40])
    np.testing.assert_allclose(normalize(jnp.asarray(images), data), expected, rtol=1e-6, atol=1e-6)


def test_channels_are_reversed_after_normalization(rng):
    values = {"mean": (1.0, 2.0, 3.0), "std": (10.0, 20.0, 40.0)}
    images = jnp.asarray(rng.integers(0, 256, (2, 3, 3, 3), dtype=np.uint8))
    red_first = normalize(images, resolve({"data": values}).data)
    blue_first = normalize(images, resolve({"data": {**values, "channel_order": "bgr"}}).data)
    np.testing.assert_array_equal(blue_first, red_first[..., ::-1])


def test_flips_about_half_and_changes_nothing_else():
    images = jnp.broadcast_to(jnp.arange(3.0)[None, None, :, None], (1000, 2, 3, 1))
    flipped = random_flip(jax.random.key(0), images)
    first = np.asarray(flipped[:, 0, 0, 0])
    assert set(first) == {0, 2}
    assert 430 < (first == 2).sum() < 570
    np.testing.assert_array_equal(flipped[first == 2], images[first == 2][:, :, ::-1])


@pytest.mark.parametrize("mirror", [True, False])
def test_defaults_are_the_flip_and_normalization_to_the_bit(batch, mirror):
    data = resolve({"data": {"mirror": mirror}}).data

    @jax.jit
    def flip_and_normalize(key, images):
        images = normalize(images, data)
        return random_flip(jax.random.split(key)[0], images) if mirror else images

    images, targets = augmented(batch, {"mirror": mirror})
    np.testing.assert_array_equal(images, flip_and_normalize(jax.random.key(0), batch[0]))
    np.testing.assert_array_equal(targets, batch[1])
    assert targets.dtype == np.int32


@pytest.mark.parametrize("options", OPTIONS, ids=str)
def test_depends_on_the_key_and_not_on_the_devices(batch, options):
    """Bit for bit: sums over an image are sums of whole numbers, and there are none over the batch."""
    one, eight = augmented(batch, options), augmented(batch, options, devices=8)
    jax.tree.map(np.testing.assert_array_equal, one, eight)
    jax.tree.map(np.testing.assert_array_equal, one, augmented(batch, options))
    images, targets = one
    other, _ = augmented(batch, options, seed=1)
    unchanged, _ = augmented(batch, {})
    assert (images.dtype, images.shape) == (np.float32, batch[0].shape)
    assert np.isfinite(images).all()
    assert not np.array_equal(images, other)
    assert not np.array_equal(images, unchanged)
    if set(options) & {"mixup", "cutmix"}:
        assert (targets.dtype, targets.shape) == (np.float32, (16, CLASSES))
        np.testing.assert_allclose(targets.sum(1), 1, rtol=1e-6)
    else:
        np.testing.assert_array_equal(targets, batch[1])


@pytest.mark.parametrize("options", OPTIONS, ids=str)
def test_pixels_stay_in_range(batch, options):
    data = resolve({"data": options}).data
    pixels = augmented(batch, options)[0] * np.array(data.std) + np.array(data.mean)
    assert pixels.min() > -1e-3
    assert pixels.max() < 255 + 1e-3


def test_channels_are_reversed_after_everything_else(batch):
    options = OPTIONS[-1]
    red_first, _ = augmented(batch, options)
    blue_first, _ = augmented(batch, {**options, "channel_order": "bgr"})
    np.testing.assert_allclose(blue_first, red_first[..., ::-1], atol=1e-5)


def test_an_erased_box_shows_no_other_example(batch):
    """Mixing comes first: no box is a mixture of the fill and a black or white image."""
    images = np.repeat(np.array([0, 255], np.uint8), 8).reshape(16, 1, 1, 1) + np.zeros(
        (16, 24, 24, 3), np.uint8
    )
    options = {"mixup": 8.0, "erasing": 1.0, "erasing_fill": "mean", "mean": (100.0, 101.0, 102.0)}
    for image in augmented((images, batch[1]), options)[0]:
        colors = np.unique(image.reshape(-1, 3), axis=0)
        assert len(colors) == 2, "the mixture and the fill"
        assert (colors == 0).all(1).any()


def test_a_split_batch_sends_one_row_to_a_neighbour(batch):
    """Mixing needs that row of the images and targets; nothing else leaves a device."""
    run = compiled(tuple(OPTIONS[-1].items()), 8)
    program = run.lower(jax.random.key(0), *batch).compile().as_text()
    assert "f32[1,24,24,3]" in program
    assert "all-gather" not in program
    assert "all-reduce" not in program
    moved = [line for line in program.splitlines() if " collective-permute(" in line]
    assert len(moved) == 2  # images and targets
    assert sum("f32[1,24,24,3]" in line for line in moved) == 1
    assert sum(f"f32[1,{CLASSES}]" in line for line in moved) == 1
