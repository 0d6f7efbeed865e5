import numpy as np
import PIL.Image
import pytest

from flax_googlenet.config import resolve
from flax_googlenet.data.images.boxes import crop, random_resized_box
from flax_googlenet.data.images.resizing import resize, resize_and_crop, scale
from flax_googlenet.data.images.training_crops import UNIFORMS, TrainingCrops
from tests.support import images


def training_crop(encoded: bytes, uniforms: np.ndarray, **options: object) -> np.ndarray:
    data = resolve({"data": {"image_size": 32, "resize": 40, **options}}).data
    out = np.zeros((32, 32, 3), np.uint8)
    TrainingCrops.of(data).prepare(encoded, "x", uniforms.tolist())(out)
    return out


DRAWN = np.random.default_rng(5).random(UNIFORMS)


@pytest.mark.parametrize("interpolation", ["linear", "area", "antialias", "nearest", "cubic"])
def test_a_training_crop_is_a_resized_box(interpolation):
    image = np.asarray(images.photograph(50, 70))
    box = random_resized_box(50, 70, DRAWN[:40])
    assert min(box[2:]) < 64, "a box of less than twice the size is not averaged"
    expected = resize(crop(image, box), 32, 32, interpolation)
    cropped = training_crop(
        images.encode(images.photograph(50, 70), "PNG"), DRAWN, train_interpolation=interpolation
    )
    np.testing.assert_array_equal(cropped, expected)


@pytest.mark.parametrize(
    ("draw", "interpolation"),
    [(0.0, "linear"), (0.3, "area"), (0.6, "nearest"), (0.99, "cubic")],
)
def test_the_interpolation_can_be_random(draw, interpolation):
    encoded = images.encode(images.photograph(50, 70), "PNG")
    drawn = np.append(DRAWN[:40], draw)
    np.testing.assert_array_equal(
        training_crop(encoded, drawn, train_interpolation="random"),
        training_crop(encoded, DRAWN, train_interpolation=interpolation),
    )


def test_a_training_crop_can_be_the_center_crop():
    image = images.photograph(50, 70)
    data = resolve({"data": {"image_size": 32, "resize": 40}}).data
    cropped = training_crop(images.encode(image, "PNG"), DRAWN, train_crop="center")
    np.testing.assert_array_equal(cropped, resize_and_crop(np.asarray(image), data))


@pytest.mark.parametrize(
    ("uniforms", "stretch", "top", "left"),
    [
        ((0.0, 0.0), False, 0, 0),
        ((1 - 1e-9, 1 - 1e-9), False, 8, 24),  # the image of 40 x 56 pixels has 9 x 25 places
        ((0.5, 0.5), False, 4, 12),
        ((1 - 1e-9, 1 - 1e-9), True, 8, 8),
    ],
)
def test_a_random_crop_keeps_the_scale(uniforms, stretch, top, left):
    image = np.asarray(images.photograph(50, 70))
    scaled = scale(image, 40, stretch=stretch)
    drawn = np.append(uniforms, DRAWN[2:])
    cropped = training_crop(
        images.encode(images.photograph(50, 70), "PNG"), drawn, train_crop="random", stretch=stretch
    )
    np.testing.assert_array_equal(cropped, scaled[top : top + 32, left : left + 32])


def test_the_places_of_random_crops_are_equally_likely():
    ramp = np.arange(40, dtype=np.uint8)[:, None, None] + np.zeros((40, 40, 3), np.uint8)
    encoded = images.encode(PIL.Image.fromarray(ramp), "PNG")
    draws = np.random.default_rng(0).random((900, UNIFORMS))
    tops = [training_crop(encoded, drawn, train_crop="random")[0, 0, 0] for drawn in draws]
    counts = np.bincount(tops, minlength=9)
    assert counts.sum() == 900
    # Each of the 9 places has 100 draws expected, with a deviation of 9.4.
    assert abs(counts - 100).max() < 40


@pytest.mark.parametrize("kind", ["PNG", "JPEG"])
def test_large_crops_are_averaged_first(kind):
    """Without averaging, single white pixels would be kept whole or lost."""
    image = np.zeros((512, 512, 3), np.uint8)
    image[::8, ::8] = 255
    options = {"quality": 100, "subsampling": 0} if kind == "JPEG" else {}
    everything = np.array([1 - 1e-9, 0.5, 0, 0] * 10 + [0])
    cropped = training_crop(images.encode(PIL.Image.fromarray(image), kind, **options), everything)
    assert abs(float(cropped.mean()) - 255 / 64) < 1
    assert cropped.max() < 32
