import io
import tracemalloc

import cv2
import numpy as np
import PIL.Image
import pytest

from flax_googlenet.data import decoding
from flax_googlenet.data.jpeg import Box
from flax_googlenet.errors import BrokenImageError
from tests import images


@pytest.mark.parametrize("suffix", [".png", ".jpg", ".webp", ".bmp"])
def test_red_comes_first(suffix):
    blue_green_red = np.zeros((16, 16, 3), np.uint8)
    blue_green_red[..., 2] = 250
    image = decoding.decode(cv2.imencode(suffix, blue_green_red)[1].tobytes(), "red")
    assert image.dtype == np.uint8
    assert image[8, 8, 0] > 240 > 15 > image[8, 8, 2]


@pytest.mark.parametrize("case", images.DECODABLE)
def test_every_kind_of_file_is_decoded_right(case):
    make, mode, tolerance = images.DECODABLE[case]
    image = decoding.decode(make(), "wrong-suffix.JPEG")
    expected = np.asarray(images.photograph().convert(mode).convert("RGB"))
    assert (image.dtype, image.shape) == (np.uint8, expected.shape)
    assert np.abs(image.astype(int) - expected).mean() <= tolerance


def test_ycck_is_decoded_as_pillow_does():
    encoded = images.ycck()
    assert PIL.Image.open(io.BytesIO(encoded)).mode == "CMYK"
    expected = np.asarray(PIL.Image.open(io.BytesIO(encoded)).convert("RGB"))
    image = decoding.decode(encoded, "x")
    # They round K's product differently.
    assert np.abs(image.astype(int) - expected).max() <= 2


@pytest.mark.parametrize("kind", ["JPEG", "PNG", "WEBP"])
def test_images_are_turned_as_their_exif_data_says(kind):
    encoded = images.encode(images.photograph(), kind, quality=95, exif=images.rotated_by_exif())
    turned = np.rot90(np.asarray(images.photograph()).astype(int), -1)
    assert np.abs(decoding.decode(encoded, "x") - turned).mean() < 9
    box = Box(10, 20, 50, 60)
    part = decoding.decode_box(encoded, "x", lambda *_: box)
    assert np.abs(part - turned[10:60, 20:80]).mean() < 9


@pytest.mark.parametrize("case", images.BROKEN)
def test_what_is_broken_is_named(case, recwarn):
    encoded = images.BROKEN[case]()
    for decode in (decoding.decode, lambda *file: decoding.decode_box(*file, lambda *_: Box(0, 0, 1, 1))):
        with pytest.raises(BrokenImageError, match=r"^cats/7\.jpg (is|has) .*\.$"):
            decode(encoded, "cats/7.jpg")
    recwarn.clear()


@pytest.mark.parametrize("make", [images.huge_jpeg, images.huge_png])
def test_a_bomb_is_refused_before_it_is_allocated(make, monkeypatch):
    for library, name in ((decoding.jpeg, "decode"), (decoding.jpeg, "decode_box"), (cv2, "imdecode")):
        monkeypatch.setattr(library, name, lambda *_: pytest.fail("it was decoded"))
    encoded = make()
    tracemalloc.start()
    with pytest.raises(BrokenImageError, match="more than 89 million pixels"):
        decoding.decode(encoded, "bomb")
    assert tracemalloc.get_traced_memory()[1] < 10e6
    tracemalloc.stop()


def test_damage_that_leaves_an_image_does_not_cost_the_image():
    """As everywhere else: libjpeg goes on after it, and what it shows is the same for a part."""
    encoded = bytearray(images.encode(images.photograph(480, 640), quality=95))
    middle = len(encoded) // 2
    encoded[middle : middle + 100] = bytes(100)
    whole = decoding.decode(bytes(encoded), "x")
    assert whole.shape == (480, 640, 3)
    for box in (Box(0, 0, 100, 100), Box(200, 100, 250, 300), Box(300, 0, 180, 640)):
        part = decoding.decode_box(bytes(encoded), "x", lambda *_, box=box: box)
        np.testing.assert_array_equal(part, decoding.cut(whole, box))


@pytest.mark.parametrize(
    ("box", "at_least", "shape"),
    [
        (Box(0, 0, 480, 640), 0, (480, 640)),
        (Box(0, 0, 480, 640), 241, (480, 640)),
        (Box(0, 0, 480, 640), 240, (240, 320)),
        (Box(3, 5, 401, 403), 100, (100, 100)),
        (Box(3, 5, 401, 300), 75, (100, 75)),
        (Box(80, 239, 400, 401), 50, (50, 50)),
        (Box(80, 239, 400, 401), 2, (50, 50)),
    ],
)
def test_a_large_part_is_decoded_small(box, at_least, shape):
    encoded = images.encode(images.photograph(480, 640), quality=95)
    part = decoding.decode_box(encoded, "x", lambda *_: box, at_least=at_least)
    assert part.shape == (*shape, 3)
    # Its edges lie where those of the smaller pixels lie.
    scale = box.height // shape[0]
    full = decoding.cut(decoding.decode(encoded, "x"), Box(*(each // scale * scale for each in box)))
    smaller = cv2.resize(full, shape[::-1], interpolation=cv2.INTER_AREA)
    assert np.abs(part.astype(int) - smaller).mean() < 2
