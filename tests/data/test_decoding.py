import cv2
import numpy as np
import PIL.Image
import pytest
import torchvision
from hypothesis import given
from hypothesis import strategies as st

from flax_googlenet.config import resolve
from flax_googlenet.data import decoding
from flax_googlenet.errors import UserError


def encoded(image: np.ndarray, suffix: str) -> bytes:
    return cv2.imencode(suffix, image)[1].tobytes()


@pytest.mark.parametrize("suffix", [".png", ".jpg", ".webp", ".bmp"])
def test_red_comes_first(suffix):
    blue_green_red = np.zeros((16, 16, 3), np.uint8)
    blue_green_red[..., 2] = 250
    image = decoding.decode(encoded(blue_green_red, suffix), "red")
    assert image.dtype == np.uint8
    assert image[8, 8, 0] > 240 > 15 > image[8, 8, 2]


@pytest.mark.parametrize("shape", [(9, 7), (9, 7, 1), (9, 7, 4)])
def test_grey_and_alpha_become_three_channels(shape):
    assert decoding.decode(encoded(np.full(shape, 77, np.uint8), ".png"), "x").shape == (9, 7, 3)


@pytest.mark.parametrize("content", [b"", b"not an image", b"\xff\xd8\xff\xe0", b"\x89PNG\r\n\x1a\n"])
def test_what_is_not_an_image_is_named(content):
    with pytest.raises(UserError, match=r"cats/7\.jpg is not an image"):
        decoding.decode(content, "cats/7.jpg")


@given(
    height=st.integers(1, 600),
    width=st.integers(1, 600),
    shorter=st.integers(1, 300),
    size=st.integers(1, 256),
)
def test_center_crop_always_has_its_size(height, width, shorter, size):
    if max(height, width) / min(height, width) > 50:
        return  # a line of pixels; scaling it would need gigabytes
    image = np.zeros((height, width, 3), np.uint8)
    assert decoding.center_crop(image, shorter, size).shape == (size, size, 3)


def test_center_crop_is_the_centre():
    image = np.zeros((40, 60, 3), np.uint8)
    image[10:30, 20:40] = 9
    assert (decoding.center_crop(image, 40, 20) == 9).all()


@given(
    height=st.integers(1, 2000),
    width=st.integers(1, 2000),
    uniforms=st.lists(st.floats(0, 1, exclude_max=True), min_size=40, max_size=40),
)
def test_random_boxes_keep_to_the_papers_limits(height, width, uniforms):
    top, left, rows, columns = decoding.random_resized_box(height, width, np.array(uniforms))
    assert 0 <= top <= top + rows <= height
    assert 0 <= left <= left + columns <= width
    assert rows > 0
    assert columns > 0
    # Sides are rounded to whole pixels, by at most half of one.
    if min(rows, columns) > 1:
        assert (columns - 0.5) / (rows + 0.5) <= 4 / 3
        assert (columns + 0.5) / (rows - 0.5) >= 3 / 4
        fallback = (rows, columns) == (min(height, max(1, round(width * 4 / 3))), columns) or columns == min(
            width, max(1, round(height * 4 / 3))
        )
        assert fallback or (rows + 0.5) * (columns + 0.5) >= 0.08 * height * width


def test_random_boxes_spread_over_area_and_aspect(rng):
    boxes = [decoding.random_resized_box(500, 500, rng.random(40)) for _ in range(2000)]
    area = np.array([rows * columns for _, _, rows, columns in boxes]) / 500**2
    aspect = np.array([columns / rows for _, _, rows, columns in boxes])
    assert area.min() < 0.1
    assert area.max() > 0.9
    assert abs(np.mean(np.log(aspect))) < 0.02  # as often wide as tall


@pytest.mark.parametrize(("height", "width"), [(427, 640), (640, 427), (300, 301), (31, 500), (256, 256)])
def test_antialiased_centre_crop_is_torchvisions(rng, height, width):
    pixels = rng.integers(0, 256, (height, width, 3), dtype=np.uint8)
    crop = torchvision.transforms.Compose(
        [torchvision.transforms.Resize(256), torchvision.transforms.CenterCrop(224)]
    )
    expected = np.asarray(crop(PIL.Image.fromarray(pixels)))
    found = decoding.center_crop(pixels, 256, 224, interpolation="antialias")
    np.testing.assert_array_equal(found, expected)


def test_stretching_ignores_the_aspect():
    image = np.zeros((40, 80, 3), np.uint8)
    image[:, 40:] = 8
    stretched = decoding.center_crop(image, 20, 20, stretch=True, interpolation="linear")
    assert (stretched[:, :9] == 0).all()
    assert (stretched[:, 11:] == 8).all()


def test_prepare_follows_the_config():
    image = np.random.default_rng(0).integers(0, 256, (50, 70, 3), dtype=np.uint8)
    data = resolve({"data": {"image_size": 32, "resize": 40}}).data
    uniforms = np.linspace(0, 0.9, 40)
    np.testing.assert_array_equal(decoding.prepare(image, data), decoding.center_crop(image, 40, 32))
    top, left, rows, columns = decoding.random_resized_box(50, 70, uniforms)
    expected = decoding.resize(image[top : top + rows, left : left + columns], 32, 32)
    np.testing.assert_array_equal(decoding.prepare(image, data, uniforms), expected)
    centred = resolve({"data": {"image_size": 32, "resize": 40, "train_crop": "center"}}).data
    np.testing.assert_array_equal(
        decoding.prepare(image, centred, uniforms), decoding.center_crop(image, 40, 32)
    )
