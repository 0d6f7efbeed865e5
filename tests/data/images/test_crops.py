import jax
import jax.numpy as jnp
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from flax_googlenet.config import resolve
from flax_googlenet.data.images import crops, resizing

DATA = resolve({}).data


def coordinates(height: int, width: int) -> np.ndarray:
    """Return an image whose pixels hold their coordinates."""
    rows, columns = np.mgrid[:height, :width]
    return np.stack([rows & 255, columns & 255, (rows >> 8) << 4 | columns >> 8], axis=-1).astype(np.uint8)


def coordinates_of(image: np.ndarray) -> np.ndarray:
    """Return the row and column of `coordinates` that each pixel of a crop comes from."""
    low, high = image.astype(int), image[..., 2].astype(int)
    return np.stack([low[..., 0] + ((high >> 4) << 8), low[..., 1] + ((high & 15) << 8)], axis=-1)


crop_squares = jax.jit(crops.crop_squares, static_argnums=(1, 2))


def crops_of(squares: dict[str, np.ndarray], size: int, count: int) -> np.ndarray:
    """Return the crops of a batch that holds one image."""
    batch = {name: jnp.asarray(array[None]) for name, array in squares.items()}
    return np.asarray(crop_squares(batch, size, count))


def papers_protocol(height: int, width: int):
    """Return the rows and columns of each of the 144 crops, as section 7 describes them."""
    upright = []
    for scale in (256, 288, 320, 352):
        tall, wide = scale * height // min(height, width), scale * width // min(height, width)
        for where in ("first", "middle", "last"):
            spare = {"first": 0, "middle": None, "last": max(tall, wide) - scale}[where]
            spare = round((max(tall, wide) - scale) / 2) if spare is None else spare
            top, left = (spare, 0) if tall > wide else (0, spare)
            room = scale - 224
            half = room // 2
            for i, j in ((0, 0), (0, room), (room, 0), (room, room), (half, half)):
                upright.append((np.arange(top + i, top + i + 224), np.arange(left + j, left + j + 224)))
            upright.append(None)  # the square itself, resized
    return upright + [box and (box[0], box[1][::-1]) for box in upright]


@given(height=st.integers(30, 600), width=st.integers(30, 600))
def test_the_144_crops_are_the_papers(height, width):
    if max(height, width) / min(height, width) > 4:
        return  # `coordinates` cannot number thousands of columns
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(
            resizing,
            "scale",
            lambda image, side, **_: coordinates(
                side * image.shape[0] // min(image.shape[:2]), side * image.shape[1] // min(image.shape[:2])
            ),
        )
        squares = crops.host_squares(np.zeros((height, width, 3), np.uint8), DATA, 144)
    assert {name: array.shape for name, array in squares.items()} == crops.shapes(DATA, 144)
    cropped = crops_of(squares, 224, 144)
    assert cropped.shape == (144, 1, 224, 224, 3)
    expected = papers_protocol(height, width)
    assert len(expected) == 144
    for crop, covered in zip(cropped[:, 0], expected, strict=True):
        if covered is not None:
            rows, columns = covered
            np.testing.assert_array_equal(coordinates_of(crop[:, :1])[:, 0, 0], rows)
            np.testing.assert_array_equal(coordinates_of(crop[:1])[0, :, 1], columns)


def test_the_whole_square_is_resized():
    smooth = np.linspace(0, 255, 256).round().astype(np.uint8)[None, :, None].repeat(256, 0).repeat(3, 2)
    squares = crops.host_squares(smooth, DATA, 144)
    cropped = crops_of(squares, 224, 144)
    whole, flipped = cropped[5, 0], cropped[77, 0]
    assert whole.min() < 3
    assert whole.max() > 252
    np.testing.assert_array_equal(whole[:, ::-1], flipped)
    np.testing.assert_allclose(whole[0, :, 0], np.linspace(0, 255, 224), atol=2)


def test_stretched_images_have_48_distinct_crops(rng):
    """The three squares are equal, so that each crop stands for three of the 144."""
    data = resolve({"data": {"stretch": True, "image_size": 56, "resize": 64}}).data
    image = rng.integers(0, 256, (70, 131, 3), dtype=np.uint8)
    squares = crops.host_squares(image, data, 144)
    assert {name: array.shape for name, array in squares.items()} == crops.shapes(data, 144)
    assert crops.shapes(data, 144)["squares_64"] == (1, 64, 64, 3)
    once = crops_of(squares, 56, 144)
    assert len(once) == crops.distinct(data, 144) == 48
    every = crops_of({name: array.repeat(3, axis=0) for name, array in squares.items()}, 56, 144)
    assert len(every) == 144
    counts = [sum((crop == other).all() for other in every) for crop in once]
    assert counts == [3] * 48


@pytest.mark.parametrize(("number", "stretch", "expected"), [(1, True, 1), (10, True, 10), (144, False, 144)])
def test_other_crops_are_distinct(number, stretch, expected):
    assert crops.distinct(resolve({"data": {"stretch": stretch}}).data, number) == expected


def test_ten_crops_are_corners_and_center_of_the_center_square_and_their_flips(rng):
    image = rng.integers(0, 256, (256, 400, 3), dtype=np.uint8)
    (square,) = crops.host_squares(image, DATA, 10)["squares_256"]
    np.testing.assert_array_equal(square, image[:, 72:328])
    cropped = crops_of({"squares_256": square[None]}, 224, 10)[:, 0]
    np.testing.assert_array_equal(cropped[1], square[:224, 32:])
    np.testing.assert_array_equal(cropped[4], square[16:240, 16:240])
    np.testing.assert_array_equal(cropped[5:], cropped[:5, :, ::-1])


def test_a_single_crop_is_the_center_crop(rng):
    image = rng.integers(0, 256, (300, 500, 3), dtype=np.uint8)
    cropped = crops.host_squares(image, DATA, 1)
    np.testing.assert_array_equal(cropped["image"], resizing.resize_and_crop(image, DATA))
    assert crops_of(cropped, 224, 1).shape == (1, 1, 224, 224, 3)


def test_other_sizes_keep_the_papers_proportions():
    small = resolve({"data": {"image_size": 56, "resize": 64}}).data
    assert crops.scales(small, 144) == (64, 72, 80, 88)
    assert crops.scales(small, 10) == (64,)
