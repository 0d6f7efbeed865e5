import functools

import cv2
import jax
import jax.numpy as jnp
import numpy as np
import PIL.Image
import PIL.ImageEnhance
import PIL.ImageOps
import pytest
from torchvision.transforms import RandAugment

from flax_googlenet.data.augmentation.randaugment import OPERATIONS, apply, randaugment
from tests.support.images import square_photograph

FILL = (124, 116, 104)


def affine(image: PIL.Image.Image, *matrix: float) -> PIL.Image.Image:
    fill = FILL if image.mode == "RGB" else 0
    return image.transform(
        image.size, PIL.Image.Transform.AFFINE, matrix, PIL.Image.Resampling.BILINEAR, fillcolor=fill
    )


def enhanced(enhancer):
    return lambda image, t: enhancer(image).enhance(1 + 0.9 * t)


# Pillow's operations by strength times sign, with the ranges of the paper's code.
MOVING = {
    "shear_x": lambda image, t: affine(image, 1, 0.3 * t, 0, 0, 1, 0),
    "shear_y": lambda image, t: affine(image, 1, 0, 0, 0.3 * t, 1, 0),
    "translate_x": lambda image, t: affine(image, 1, 0, 150 / 331 * image.width * t, 0, 1, 0),
    "translate_y": lambda image, t: affine(image, 1, 0, 0, 0, 1, 150 / 331 * image.height * t),
    "rotate": lambda image, t: image.rotate(
        30 * t, PIL.Image.Resampling.BILINEAR, fillcolor=FILL if image.mode == "RGB" else 0
    ),
}
COLORING = {
    "brightness": (enhanced(PIL.ImageEnhance.Brightness), 1),
    "contrast": (enhanced(PIL.ImageEnhance.Contrast), 1.5),  # its gray is rounded
    "color": (enhanced(PIL.ImageEnhance.Color), 1.5),
    "sharpness": (enhanced(PIL.ImageEnhance.Sharpness), 2),
    "posterize": (lambda image, t: PIL.ImageOps.posterize(image, 8 - round(4 * abs(t))), 0),
    "solarize": (lambda image, t: PIL.ImageOps.solarize(image, 255 * (1 - abs(t))), 0),
    "auto_contrast": (lambda image, _: PIL.ImageOps.autocontrast(image), 1),
    "equalize": (lambda image, _: PIL.ImageOps.equalize(image), 0),
    "identity": (lambda image, _: image, 0),
}
STRENGTHS = [(0.3, 1.0), (0.3, -1.0), (1.0, 1.0), (1.0, -1.0)]


def result(image: np.ndarray, name: str, strength: float, sign: float) -> np.ndarray:
    kind = jnp.asarray([OPERATIONS.index(name)])
    images = jnp.asarray(image[None], jnp.float32)
    augmented = apply(images, kind, jnp.asarray([sign]), strength, jnp.asarray(FILL, jnp.float32))
    assert augmented.dtype == jnp.float32
    return np.asarray(augmented[0])


def every_result(image: np.ndarray, strength: float) -> dict[str, np.ndarray]:
    """Return the results of each operation on an image in both directions."""
    count = len(OPERATIONS)
    images = jnp.asarray(np.broadcast_to(image, (2 * count, *image.shape)), jnp.float32)
    signs = jnp.tile(jnp.asarray([1.0, -1.0]), count)
    fill = jnp.asarray(FILL, jnp.float32)
    augmented = jax.jit(apply, static_argnames="strength")(
        images, jnp.repeat(jnp.arange(count), 2), signs, strength=strength, fill=fill
    )
    return dict(zip(OPERATIONS, np.asarray(augmented).reshape(count, 2, *image.shape), strict=True))


def test_every_operation_is_compared():
    assert sorted([*MOVING, *COLORING]) == sorted(OPERATIONS)


@pytest.mark.parametrize(("strength", "sign"), STRENGTHS)
@pytest.mark.parametrize("name", COLORING)
def test_colors_equal_pillow(name, strength, sign):
    image = square_photograph(64)
    operation, tolerance = COLORING[name]
    expected = np.asarray(operation(PIL.Image.fromarray(image), strength * sign), np.float32)
    np.testing.assert_allclose(result(image, name, strength, sign), expected, atol=tolerance + 1e-3)


@pytest.mark.parametrize(("strength", "sign"), STRENGTHS)
@pytest.mark.parametrize("name", MOVING)
def test_positions_equal_pillow(name, strength, sign):
    image = square_photograph(64)
    augmented = result(image, name, strength, sign)
    move = MOVING[name]
    t = strength * sign
    expected = np.asarray(move(PIL.Image.fromarray(image), t), np.float32)
    seen = np.asarray(move(PIL.Image.fromarray(np.full((64, 64), 255, np.uint8)), t))
    # Compare pixels from inside and from outside the image. The edges between are softer than Pillow's.
    seen = np.pad(seen, 1)
    inside = cv2.erode(seen, np.ones((3, 3)))[1:-1, 1:-1] == 255
    outside = cv2.dilate(seen, np.ones((3, 3)))[1:-1, 1:-1] == 0
    assert inside.mean() > 0.4
    np.testing.assert_allclose(augmented[inside], expected[inside], atol=1.1)
    np.testing.assert_allclose(augmented[outside], expected[outside], atol=1e-3)
    assert outside.any()


@pytest.mark.parametrize("level", [0, 7, 255])
@pytest.mark.parametrize("name", ["auto_contrast", "equalize", "contrast", "sharpness"])
def test_an_image_of_one_level_stays_as_it_is(name, level):
    image = np.full((16, 16, 3), level, np.uint8)
    augmented = result(image, name, 0.3, 1.0)
    np.testing.assert_allclose(augmented, image, atol=1e-3)


def test_ranges_equal_torchvision():
    """The usual magnitude is 9 of 30."""
    space = RandAugment()._augmentation_space(31, (224, 224))
    ranges = {name: float(values[9] if values.ndim else values) for name, (values, _) in space.items()}
    t = 9 / 30
    assert ranges == pytest.approx(
        {
            "Identity": 0,
            "ShearX": 0.3 * t,
            "ShearY": 0.3 * t,
            "TranslateX": 150 / 331 * 224 * t,
            "TranslateY": 150 / 331 * 224 * t,
            "Rotate": 30 * t,
            "Brightness": 0.9 * t,
            "Color": 0.9 * t,
            "Contrast": 0.9 * t,
            "Sharpness": 0.9 * t,
            "Posterize": 8 - round(4 * t),
            "Solarize": 255 * (1 - t),
            "AutoContrast": 0,
            "Equalize": 0,
        },
        rel=1e-5,
    )


def test_images_get_independent_operations():
    """Every operation changes about 32 of 448 copies, half of them in the other direction."""
    images = jnp.asarray(np.broadcast_to(square_photograph(16), (448, 16, 16, 3)), jnp.float32)
    fill = jnp.asarray(FILL, jnp.float32)
    draw = jax.jit(functools.partial(randaugment, operations=1, magnitude=9.0))
    augmented = np.asarray(draw(jax.random.key(0), images, fill=fill))
    assert np.isfinite(augmented).all()
    possible = every_result(square_photograph(16), 0.3)
    counts = {
        name: [int((np.abs(augmented - image).max((1, 2, 3)) < 1e-2).sum()) for image in possible[name]]
        for name in OPERATIONS
    }
    for name, (positive, negative) in counts.items():
        if name in (*MOVING, "brightness", "contrast", "color", "sharpness"):
            assert min(positive, negative) >= 5, name
            assert 12 < positive + negative < 56, name
        else:
            assert positive == negative, name
            assert 12 < positive < 56, name


def test_operations_follow_each_other():
    images = jnp.asarray(square_photograph(16)[None], jnp.float32)
    fill = jnp.asarray(FILL, jnp.float32)
    key = jax.random.key(4)
    one, two = (
        np.asarray(randaugment(key, images, operations=count, magnitude=20.0, fill=fill)[0])
        for count in (1, 2)
    )
    # Some operation turns the result of the first into the result of both.
    possible = np.concatenate(list(every_result(one, 20 / 30).values()))
    assert np.abs(possible - two).max((1, 2, 3)).min() < 1e-2
    assert not np.array_equal(one, two)
