import io
import random
import tracemalloc

import cv2
import numpy as np
import PIL.Image
import PIL.ImageOps
import pytest

from flax_googlenet.config import resolve
from flax_googlenet.data.images import decoding
from flax_googlenet.data.images.boxes import Box, crop
from flax_googlenet.data.images.decoding import ImageFile
from flax_googlenet.data.images.training_crops import UNIFORMS, TrainingCrops
from flax_googlenet.errors import CorruptImageError
from tests.support import images


@pytest.mark.parametrize("suffix", [".png", ".jpg", ".webp", ".bmp"])
def test_red_comes_first(suffix):
    blue_green_red = np.zeros((16, 16, 3), np.uint8)
    blue_green_red[..., 2] = 250
    image = decoding.decode(cv2.imencode(suffix, blue_green_red)[1].tobytes(), "red")
    assert image.dtype == np.uint8
    assert image[8, 8, 0] > 240 > 15 > image[8, 8, 2]


@pytest.mark.parametrize("case", images.DECODABLE)
def test_every_kind_of_file_is_decoded(case):
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
    # Pillow rounds the product with K differently.
    assert np.abs(image.astype(int) - expected).max() <= 2


@pytest.mark.parametrize("kind", ["JPEG", "PNG", "WEBP"])
def test_images_are_rotated_as_their_exif_data_say(kind):
    encoded = images.encode(images.photograph(), kind, quality=95, exif=images.rotated_by_exif())
    turned = np.rot90(np.asarray(images.photograph()).astype(int), -1)
    assert np.abs(decoding.decode(encoded, "x") - turned).mean() < 9
    box = Box(10, 20, 50, 60)
    part = ImageFile(encoded, "x").open_box(box)()
    assert np.abs(part - turned[10:60, 20:80]).mean() < 9


PLAIN = images.encode(images.photograph(), quality=95, subsampling=0)
WITHOUT_JFIF = PLAIN[:2] + PLAIN[PLAIN.index(b"\xff\xdb") :]
XMP = images.segment(0xE1, b"http://ns.adobe.com/xap/1.0/\0<x/>")

# JPEG files by the place of their EXIF data, as functions of the orientation and the byte order.
ROTATED = {
    "first": lambda *exif: images.with_segments(WITHOUT_JFIF, images.exif_segment(*exif)),
    "after APP0": lambda *exif: images.with_segments(PLAIN, images.exif_segment(*exif)),
    "a fill byte": lambda *exif: images.with_segments(PLAIN, images.exif_segment(*exif, 1)),
    "five, first": lambda *exif: images.with_segments(WITHOUT_JFIF, images.exif_segment(*exif, 5)),
    "fill bytes before APP0": lambda *exif: images.with_segments(
        images.with_segments(PLAIN, b"\xff\xff", 0xE0), images.exif_segment(*exif)
    ),
    "fill bytes before another": lambda *exif: images.with_segments(
        PLAIN, images.segment(0xFE, b"comment", 3) + images.exif_segment(*exif)
    ),
    "a marker without a length": lambda *exif: images.with_segments(
        PLAIN, b"\xff\xd3" + images.exif_segment(*exif)
    ),
    "after the tables": lambda *exif: images.with_segments(PLAIN, images.exif_segment(*exif), 0xC0),
    "before the scan": lambda *exif: images.with_segments(PLAIN, images.exif_segment(*exif), 0xDA),
    "after XMP": lambda *exif: images.with_segments(PLAIN, XMP + images.exif_segment(*exif)),
    "before XMP": lambda *exif: images.with_segments(PLAIN, images.exif_segment(*exif) + XMP),
    "two, upright last": lambda *exif: images.with_segments(
        PLAIN, images.exif_segment(*exif) + images.exif_segment(1)
    ),
    "two, upright first": lambda *exif: images.with_segments(
        PLAIN, images.exif_segment(1) + images.exif_segment(*exif)
    ),
}


@pytest.mark.parametrize("order", ["<", ">"])
@pytest.mark.parametrize("orientation", range(1, 9))
@pytest.mark.parametrize("where", ROTATED)
def test_exif_data_are_found_wherever_they_are(where, orientation, order):
    encoded = ROTATED[where](orientation, order)
    with PIL.Image.open(io.BytesIO(encoded)) as file:
        expected = np.asarray(PIL.ImageOps.exif_transpose(file)).astype(int)
    image = decoding.decode(encoded, "x")
    assert image.shape == expected.shape
    assert np.abs(image - expected).max() <= 3, "an image rotated otherwise differs by up to 255"
    box = Box(7, 11, 50, 60)
    part = ImageFile(encoded, "x").open_box(box)()
    np.testing.assert_array_equal(part, crop(image, box))

    data = resolve({"data": {"image_size": 32, "resize": 32}}).data
    training_crop, upright = np.zeros((2, 32, 32, 3), np.uint8)
    uniforms = np.random.default_rng(0).random(UNIFORMS).tolist()
    crops = TrainingCrops.of(data)
    crops.prepare(encoded, "x", uniforms)(training_crop)
    again = images.encode(PIL.Image.fromarray(image), "PNG")
    crops.prepare(again, "x", uniforms)(upright)
    assert np.abs(training_crop.astype(int) - upright).mean() < 4


def test_exif_data_after_a_reserved_marker_are_found():
    """The marker TEM has no length. Pillow gives up at it."""
    encoded = images.with_segments(PLAIN, b"\xff\x01" + images.exif_segment(6))
    turned = np.rot90(np.asarray(images.photograph()).astype(int), -1)
    assert np.abs(decoding.decode(encoded, "x") - turned).mean() < 4


def mangled(encoded: bytes, draw: random.Random) -> bytes:
    """Change a few of the first 600 bytes of a file, or cut it short among them."""
    changed = bytearray(encoded)
    for _ in range(draw.choice((1, 1, 2, 4, 8))):
        changed[draw.randrange(min(600, len(changed)))] = draw.choice((draw.randrange(256), 0, 255))
    if draw.random() < 0.2:
        del changed[draw.randrange(min(600, len(changed))) :]
    if draw.random() < 0.1:
        at = draw.randrange(min(600, len(changed)) + 1)
        changed[at:at] = b"\xff" * draw.randrange(1, 4)
    return bytes(changed)


SMALL = images.photograph(24, 32)
MANGLED = {
    "jfif": images.encode(SMALL),
    "opencv's": cv2.imencode(".jpg", np.asarray(SMALL))[1].tobytes(),
    "upright exif": images.encode(SMALL, exif=images.maker_exif()),
    "rotated": images.encode(SMALL, exif=images.rotated_by_exif()),
    "jfif and exif": images.with_segments(images.encode(SMALL), images.exif_segment(1, ">", 1)),
    "progressive": images.encode(SMALL, progressive=True),
    "cmyk": images.encode(SMALL.convert("CMYK")),
    "png": images.encode(SMALL, "PNG"),
    "webp": images.encode(SMALL, "WEBP", exif=images.rotated_by_exif()),
    "tiff": images.encode(SMALL, "TIFF"),
}


@pytest.mark.filterwarnings("ignore::UserWarning:PIL")
@pytest.mark.parametrize("kind", MANGLED)
def test_a_mangled_file_is_decoded_or_corrupt(kind, monkeypatch):
    """A JPEG file that can be decoded has the pixels that OpenCV decodes."""
    monkeypatch.setattr(decoding, "MAX_PIXELS", 100_000)  # saves memory and time
    draw = random.Random(kind)
    decoded = 0
    for _ in range(400):
        encoded = mangled(MANGLED[kind], draw)
        try:
            image, _ = decoding.inspect(encoded, "x")
            np.testing.assert_array_equal(decoding.decode(encoded, "x"), image)
        except CorruptImageError:
            image = None
        try:
            file = ImageFile(encoded, "x")
            part = file.open_box(Box(0, 0, file.height // 2 + 1, file.width // 2 + 1))()
        except CorruptImageError:
            assert image is None
            continue
        assert part.shape == (*(side // 2 + 1 for side in image.shape[:2]), 3)
        decoded += 1
        if encoded.startswith(b"\xff\xd8"):
            expected = cv2.imdecode(np.frombuffer(encoded, np.uint8), cv2.IMREAD_COLOR_RGB)
            np.testing.assert_array_equal(image, expected)
    assert decoded < 400


@pytest.mark.parametrize("case", images.CORRUPT)
def test_corrupt_files_are_named(case, recwarn):
    encoded = images.CORRUPT[case]()
    for decode in (decoding.decode, lambda *file: ImageFile(*file).open_box(Box(0, 0, 1, 1))()):
        with pytest.raises(CorruptImageError, match=r"^cats/7\.jpg (is|has) .*\.$"):
            decode(encoded, "cats/7.jpg")
    recwarn.clear()


@pytest.mark.parametrize(
    "make",
    [
        pytest.param(images.huge_jpeg, id="jpeg"),
        pytest.param(lambda: images.huge_jpeg(exif=images.maker_exif()), id="jpeg with exif"),
        pytest.param(lambda: images.huge_jpeg(exif=images.rotated_by_exif()), id="rotated jpeg"),
        pytest.param(images.huge_png, id="png"),
    ],
)
def test_a_decompression_bomb_is_refused_before_memory_is_allocated(make, monkeypatch):
    for library, name in ((decoding.jpeg, "decode_scaled"), (decoding.jpeg, "open_box"), (cv2, "imdecode")):
        monkeypatch.setattr(library, name, lambda *_: pytest.fail("it was decoded"))
    encoded = make()
    tracemalloc.start()
    with pytest.raises(CorruptImageError, match="more than 89 million pixels"):
        decoding.decode(encoded, "bomb")
    assert tracemalloc.get_traced_memory()[1] < 10e6
    tracemalloc.stop()


def test_a_file_that_libjpeg_warns_about_is_decoded():
    """libjpeg goes on after an error in the data, and the pixels of a part are the same."""
    encoded = bytearray(images.encode(images.photograph(480, 640), quality=95))
    middle = len(encoded) // 2
    encoded[middle : middle + 100] = bytes(100)
    whole = decoding.decode(bytes(encoded), "x")
    assert whole.shape == (480, 640, 3)
    for box in (Box(0, 0, 100, 100), Box(200, 100, 250, 300), Box(300, 0, 180, 640)):
        part = ImageFile(bytes(encoded), "x").open_box(box)()
        np.testing.assert_array_equal(part, crop(whole, box))
    inspected, warning = decoding.inspect(bytes(encoded), "x")
    np.testing.assert_array_equal(inspected, whole)
    assert warning.startswith("Corrupt JPEG data: ")


def test_a_subsampling_that_has_no_name_is_decoded():
    """simplejpeg raises KeyError for 4:4:1."""
    encoded = bytearray(images.encode(images.photograph(), subsampling=0))
    at = encoded.index(b"\xff\xc0")
    assert encoded[at + 11] == 0x11
    encoded[at + 11] = 0x14
    image, warning = decoding.inspect(bytes(encoded), "x")
    expected = cv2.imdecode(np.frombuffer(encoded, np.uint8), cv2.IMREAD_COLOR_RGB)
    np.testing.assert_array_equal(image, expected)
    assert warning.startswith("Corrupt JPEG data"), "the data were encoded for another subsampling"


@pytest.mark.parametrize("case", images.DECODABLE)
def test_sound_files_have_no_warning(case):
    encoded = images.DECODABLE[case][0]()
    image, warning = decoding.inspect(encoded, "x")
    assert warning == ""
    np.testing.assert_array_equal(image, decoding.decode(encoded, "x"))


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
def test_a_large_part_is_decoded_at_a_fraction_of_its_size(box, at_least, shape):
    encoded = images.encode(images.photograph(480, 640), quality=95)
    part = ImageFile(encoded, "x").open_box(box, at_least=at_least)()
    assert part.shape == (*shape, 3)
    # The edges of the part are those of the larger pixels that it is decoded to.
    scale = box.height // shape[0]
    full = crop(decoding.decode(encoded, "x"), Box(*(edge // scale * scale for edge in box)))
    smaller = cv2.resize(full, shape[::-1], interpolation=cv2.INTER_AREA)
    assert np.abs(part.astype(int) - smaller).mean() < 2
