import hashlib

import pytest

from flax_googlenet.data.checking.decode_all import Decoded, decode_all, image_format
from flax_googlenet.errors import CorruptImageError
from tests.data.checking.test_data_check import Listed, image


@pytest.mark.parametrize("workers", [0, 1, 3])
def test_examples_are_described_in_order(workers):
    encoded = [image(value, 8 + value, 12, suffix) for value in range(50) for suffix in (".png", ".jpg")]
    source = Listed(*[(content, index) for index, content in enumerate(encoded)])
    descriptions = decode_all(source.__getitem__, len(source), workers=workers)
    assert list(descriptions) == [
        Decoded(f"x{index}", index, None, "", ("PNG", "JPEG")[index % 2], 8 + index // 2, 12)
        for index in range(100)
    ]


def test_errors_are_part_of_the_description():
    source = Listed((b"", 3), (OSError("input/output"), 4), (image(1), 5))
    corrupt, unread, sound = decode_all(source.__getitem__, 3)
    assert (corrupt.name, corrupt.label, type(corrupt.error)) == ("x0", 3, CorruptImageError)
    assert (unread.name, unread.label, type(unread.error)) == ("example 1", None, OSError)
    assert (corrupt.format, corrupt.height, corrupt.width, corrupt.digest) == ("", 0, 0, b"")
    assert (sound.label, sound.error) == (5, None)


def test_digests_identify_the_encoded_bytes():
    source = Listed((image(1), 0), (image(2), 0), (image(1), 1))
    first, second, third = (example.digest for example in decode_all(source.__getitem__, 3, digests=True))
    assert first == third == hashlib.blake2b(image(1), digest_size=16).digest()
    assert second != first


@pytest.mark.parametrize(
    ("suffix", "name"),
    [
        (".png", "PNG"),
        (".jpg", "JPEG"),
        (".webp", "WebP"),
        (".bmp", "BMP"),
        (".tiff", "TIFF"),
        (".ppm", "other"),
    ],
)
def test_formats_are_recognized_by_their_bytes(suffix, name):
    assert image_format(image(7, suffix=suffix)) == name
