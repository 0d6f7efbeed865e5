import numpy as np
import PIL.Image
import pytest

from flax_googlenet.config import resolve
from flax_googlenet.data.images.boxes import crop, random_resized_box
from flax_googlenet.data.images.resizing import resize, resize_and_crop
from flax_googlenet.data.images.training_crops import UNIFORMS, decode_training_crop
from tests.support import images


def trained_on(encoded: bytes, uniforms: np.ndarray, **options: object) -> np.ndarray:
    data = resolve({"data": {"image_size": 32, "resize": 40, **options}}).data
    out = np.zeros((32, 32, 3), np.uint8)
    decode_training_crop(encoded, "x", data, uniforms, out)
    return out


DRAWN = np.random.default_rng(5).random(UNIFORMS)


@pytest.mark.parametrize("interpolation", ["linear", "area", "antialias", "nearest", "cubic"])
def test_a_training_image_is_a_resized_box(interpolation):
    image = np.asarray(images.photograph(50, 70))
    box = random_resized_box(50, 70, DRAWN[:40])
    assert min(box[2:]) < 64, "nothing is averaged first"
    expected = resize(crop(image, box), 32, 32, interpolation)
    found = trained_on(
        images.encode(images.photograph(50, 70), "PNG"), DRAWN, train_interpolation=interpolation
    )
    np.testing.assert_array_equal(found, expected)


@pytest.mark.parametrize(
    ("draw", "interpolation"),
    [(0.0, "linear"), (0.3, "area"), (0.6, "nearest"), (0.99, "cubic")],
)
def test_interpolation_can_be_drawn(draw, interpolation):
    encoded = images.encode(images.photograph(50, 70), "PNG")
    drawn = np.append(DRAWN[:40], draw)
    np.testing.assert_array_equal(
        trained_on(encoded, drawn, train_interpolation="random"),
        trained_on(encoded, DRAWN, train_interpolation=interpolation),
    )


def test_a_training_image_may_be_the_centre_alone():
    image = images.photograph(50, 70)
    data = resolve({"data": {"image_size": 32, "resize": 40}}).data
    found = trained_on(images.encode(image, "PNG"), DRAWN, train_crop="center")
    np.testing.assert_array_equal(found, resize_and_crop(np.asarray(image), data))


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
