import numpy as np
import PIL.Image
import pytest
import torchvision
from hypothesis import given
from hypothesis import strategies as st

from flax_googlenet.config import resolve
from flax_googlenet.data.images import decoding, preprocessing
from tests.support import images


@given(
    height=st.integers(1, 600),
    width=st.integers(1, 600),
    shorter=st.integers(1, 300),
    size=st.integers(1, 256),
)
def test_center_crop_always_has_its_size(height, width, shorter, size):
    image = np.zeros((height, width, 3), np.uint8)
    assert preprocessing.center_crop(image, shorter, size).shape == (size, size, 3)


def test_center_crop_is_the_centre():
    image = np.zeros((40, 60, 3), np.uint8)
    image[10:30, 20:40] = 9
    assert (preprocessing.center_crop(image, 40, 20) == 9).all()


@given(
    height=st.integers(1, 2000),
    width=st.integers(1, 2000),
    uniforms=st.lists(st.floats(0, 1, exclude_max=True), min_size=40, max_size=40),
)
def test_random_boxes_keep_to_the_papers_limits(height, width, uniforms):
    top, left, rows, columns = preprocessing.random_resized_box(height, width, np.array(uniforms))
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
    boxes = [preprocessing.random_resized_box(500, 500, rng.random(40)) for _ in range(2000)]
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
    found = preprocessing.center_crop(pixels, 256, 224, interpolation="antialias")
    np.testing.assert_array_equal(found, expected)


def test_stretching_ignores_the_aspect():
    image = np.zeros((40, 80, 3), np.uint8)
    image[:, 40:] = 8
    stretched = preprocessing.center_crop(image, 20, 20, stretch=True, interpolation="linear")
    assert (stretched[:, :9] == 0).all()
    assert (stretched[:, 11:] == 8).all()


@pytest.mark.parametrize("shape", [(1, 5000), (5000, 1), (2, 60000)])
def test_a_line_of_pixels_is_not_scaled_to_gigabytes(shape):
    image = np.zeros((*shape, 3), np.uint8)
    scaled = preprocessing.scale(image, 256)
    assert sorted(scaled.shape[:2]) == [256, 256 * preprocessing.MAX_ASPECT]


def test_a_long_image_keeps_its_centre():
    image = np.zeros((10, 400, 3), np.uint8)
    image[:, 195:205] = 200
    crop = preprocessing.center_crop(image, 10, 10)
    assert (crop == 200).all()


def test_prepare_follows_the_config():
    image = np.random.default_rng(0).integers(0, 256, (50, 70, 3), dtype=np.uint8)
    data = resolve({"data": {"image_size": 32, "resize": 40}}).data
    np.testing.assert_array_equal(
        preprocessing.prepare(image, data), preprocessing.center_crop(image, 40, 32)
    )


def trained_on(encoded: bytes, uniforms: np.ndarray, **options: object) -> np.ndarray:
    data = resolve({"data": {"image_size": 32, "resize": 40, **options}}).data
    out = np.zeros((32, 32, 3), np.uint8)
    preprocessing.prepare_to_train(encoded, "x", data, uniforms, out)
    return out


UNIFORMS = np.random.default_rng(5).random(preprocessing.UNIFORMS)


@pytest.mark.parametrize("interpolation", ["linear", "area", "antialias", "nearest", "cubic"])
def test_a_training_image_is_a_resized_box(interpolation):
    image = np.asarray(images.photograph(50, 70))
    box = preprocessing.random_resized_box(50, 70, UNIFORMS[:40])
    assert min(box[2:]) < 64, "nothing is averaged first"
    expected = preprocessing.resize(decoding.cut(image, box), 32, 32, interpolation)
    found = trained_on(
        images.encode(images.photograph(50, 70), "PNG"), UNIFORMS, train_interpolation=interpolation
    )
    np.testing.assert_array_equal(found, expected)


@pytest.mark.parametrize(
    ("draw", "interpolation"),
    [(0.0, "linear"), (0.3, "area"), (0.6, "nearest"), (0.99, "cubic")],
)
def test_interpolation_can_be_drawn(draw, interpolation):
    encoded = images.encode(images.photograph(50, 70), "PNG")
    drawn = np.append(UNIFORMS[:40], draw)
    np.testing.assert_array_equal(
        trained_on(encoded, drawn, train_interpolation="random"),
        trained_on(encoded, UNIFORMS, train_interpolation=interpolation),
    )


def test_a_training_image_may_be_the_centre_alone():
    image = images.photograph(50, 70)
    data = resolve({"data": {"image_size": 32, "resize": 40}}).data
    found = trained_on(images.encode(image, "PNG"), UNIFORMS, train_crop="center")
    np.testing.assert_array_equal(found, preprocessing.prepare(np.asarray(image), data))


@pytest.mark.parametrize("kind", ["PNG", "JPEG"])
def test_large_crops_are_averaged_first(kind):
    """Single white pixels would otherwise be seen whole or not at all."""
    image = np.zeros((512, 512, 3), np.uint8)
    image[::8, ::8] = 255
    options = {"quality": 100, "subsampling": 0} if kind == "JPEG" else {}
    everything = np.array([1 - 1e-9, 0.5, 0, 0] * 10 + [0])
    found = trained_on(images.encode(PIL.Image.fromarray(image), kind, **options), everything)
    assert abs(float(found.mean()) - 255 / 64) < 1
    assert found.max() < 32
