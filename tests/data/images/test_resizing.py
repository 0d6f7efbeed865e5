import numpy as np
import PIL.Image
import pytest
import torchvision
from hypothesis import given
from hypothesis import strategies as st

from flax_googlenet.config import resolve
from flax_googlenet.data.images import resizing


@given(
    height=st.integers(1, 600),
    width=st.integers(1, 600),
    shorter=st.integers(1, 300),
    size=st.integers(1, 256),
)
def test_a_center_crop_has_its_size_for_every_image(height, width, shorter, size):
    image = np.zeros((height, width, 3), np.uint8)
    assert resizing.center_crop(image, shorter, size).shape == (size, size, 3)


def test_a_center_crop_is_the_center():
    image = np.zeros((40, 60, 3), np.uint8)
    image[10:30, 20:40] = 9
    assert (resizing.center_crop(image, 40, 20) == 9).all()


@pytest.mark.parametrize(("height", "width"), [(427, 640), (640, 427), (300, 301), (31, 500), (256, 256)])
def test_an_antialiased_center_crop_is_torchvisions(rng, height, width):
    pixels = rng.integers(0, 256, (height, width, 3), dtype=np.uint8)
    crop = torchvision.transforms.Compose(
        [torchvision.transforms.Resize(256), torchvision.transforms.CenterCrop(224)]
    )
    expected = np.asarray(crop(PIL.Image.fromarray(pixels)))
    cropped = resizing.center_crop(pixels, 256, 224, interpolation="antialias")
    np.testing.assert_array_equal(cropped, expected)


def test_stretching_changes_the_aspect_ratio():
    image = np.zeros((40, 80, 3), np.uint8)
    image[:, 40:] = 8
    stretched = resizing.center_crop(image, 20, 20, stretch=True, interpolation="linear")
    assert (stretched[:, :9] == 0).all()
    assert (stretched[:, 11:] == 8).all()


@pytest.mark.parametrize("shape", [(1, 5000), (5000, 1), (2, 60000)])
def test_the_ends_of_a_line_of_pixels_are_cut_off(shape):
    image = np.zeros((*shape, 3), np.uint8)
    scaled = resizing.scale(image, 256)
    assert sorted(scaled.shape[:2]) == [256, 256 * resizing.MAX_ASPECT]


def test_a_long_image_keeps_its_center():
    image = np.zeros((10, 400, 3), np.uint8)
    image[:, 195:205] = 200
    crop = resizing.center_crop(image, 10, 10)
    assert (crop == 200).all()


def test_resize_and_crop_follows_the_config():
    image = np.random.default_rng(0).integers(0, 256, (50, 70, 3), dtype=np.uint8)
    data = resolve({"data": {"image_size": 32, "resize": 40}}).data
    np.testing.assert_array_equal(resizing.resize_and_crop(image, data), resizing.center_crop(image, 40, 32))
