import concurrent.futures
import subprocess
import sys

import cv2
import numpy as np
import PIL.Image
import pytest
from hypothesis import given
from hypothesis import strategies as st

from flax_googlenet.data.images import jpeg
from flax_googlenet.data.images.boxes import Box
from tests.support import images

FILES = {
    f"{name}, {subsampling}": images.encode(
        images.photograph(101, 133).convert(mode), quality=90, subsampling=subsampling, **options
    )
    for name, mode, options in [
        ("color", "RGB", {}),
        ("gray", "L", {}),
        ("progressive", "RGB", {"progressive": True}),
        ("restart markers", "RGB", {"restart_marker_rows": 1}),
    ]
    for subsampling in (0, 1, 2)
}


@pytest.mark.parametrize("file", FILES)
def test_the_pixels_are_opencvs(file):
    """Both use libjpeg-turbo, so that runs that decoded with OpenCV resume with the same images."""
    expected = cv2.imdecode(np.frombuffer(FILES[file], np.uint8), cv2.IMREAD_COLOR_RGB)
    np.testing.assert_array_equal(jpeg.decode_scaled(FILES[file], jpeg.read_header(FILES[file])), expected)


def test_nvimgcodec_is_installed():
    """Without it the tests below would compare the reference with itself."""
    assert jpeg.import_nvimgcodec() is not None


@given(
    file=st.sampled_from(list(FILES)),
    vertical=st.tuples(st.integers(0, 100), st.integers(0, 100)),
    horizontal=st.tuples(st.integers(0, 132), st.integers(0, 132)),
)
def test_a_part_is_the_same_with_and_without_nvimgcodec(file, vertical, horizontal):
    (top, bottom), (left, right) = sorted(vertical), sorted(horizontal)
    box = Box(top, left, bottom - top + 1, right - left + 1)
    part = jpeg.open_box(FILES[file], jpeg.read_header(FILES[file]), box)()
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(jpeg, "_region_opener", lambda: None)
        reference = jpeg.open_box(FILES[file], jpeg.read_header(FILES[file]), box)()
    assert part.dtype == np.uint8
    np.testing.assert_array_equal(part, reference)


def test_threads_decode_at_the_same_time():
    box = Box(5, 6, 70, 80)
    expected = {
        file: jpeg.open_box(encoded, jpeg.read_header(encoded), box)() for file, encoded in FILES.items()
    }
    with concurrent.futures.ThreadPoolExecutor(8) as pool:
        for file, part in pool.map(
            lambda file: (file, jpeg.open_box(FILES[file], jpeg.read_header(FILES[file]), box)()),
            list(FILES) * 20,
        ):
            np.testing.assert_array_equal(part, expected[file])


@pytest.mark.parametrize("scale", jpeg.SCALES)
@pytest.mark.parametrize("file", FILES)
def test_a_fraction_of_the_size_is_rounded_up(file, scale):
    smaller = jpeg.decode_scaled(FILES[file], jpeg.read_header(FILES[file]), scale)
    assert smaller.shape == (-(-101 // scale), -(-133 // scale), 3)
    whole = jpeg.decode_scaled(FILES[file], jpeg.read_header(FILES[file]))[
        : 101 // scale * scale, : 133 // scale * scale
    ].astype(float)
    means = whole.reshape(101 // scale, scale, 133 // scale, scale, 3).mean((1, 3))
    assert np.abs(smaller[: 101 // scale, : 133 // scale] - means).mean() < 4


@pytest.mark.parametrize(
    "encoded",
    [
        pytest.param(images.encode(images.photograph(), exif=images.rotated_by_exif()), id="rotated"),
        pytest.param(images.encode(images.photograph().convert("CMYK")), id="cmyk"),
        pytest.param(images.ycck(), id="ycck"),
        pytest.param(images.encode(images.photograph(), "PNG"), id="png"),
        pytest.param(images.encode(images.photograph())[:-2], id="truncated"),
        pytest.param(b"", id="empty"),
    ],
)
def test_other_files_have_no_header(encoded):
    assert jpeg.read_header(encoded) is None


def test_exif_data_without_an_orientation_are_accepted():
    assert jpeg.read_header(images.encode(images.photograph(), exif=PIL.Image.Exif()))[:2] == (96, 128)
    assert jpeg.read_header(images.encode(images.photograph(), exif=images.maker_exif()))[:2] == (96, 128)


@pytest.mark.parametrize("value", [pytest.param(0, id="zero"), pytest.param(9, id="nine")])
def test_an_unknown_orientation_is_refused(value):
    assert jpeg.read_header(images.with_segments(FILES["color, 0"], images.exif_segment(value))) is None


def test_exif_data_outside_of_their_segment_are_refused():
    """OpenCV may find such data, so that the file may not be taken for an upright one."""
    hidden = images.segment(0xE2, b"x" + images.exif_segment(6))
    assert jpeg.read_header(images.with_segments(FILES["color, 0"], hidden)) is None


def test_a_million_fill_bytes_are_skipped_at_once():
    """A search that starts again at every fill byte would take hours."""
    encoded = images.with_segments(FILES["color, 0"], b"\xff" * 1_000_000)
    assert jpeg.read_header(encoded)[:2] == (101, 133)
    assert jpeg.read_header(encoded.replace(b"\xff\xff\xdb", b"\xff\0")) is None, "the file has no table left"


SOUND = FILES["color, 0"]


@pytest.mark.parametrize(
    ("encoded", "words"),
    [
        pytest.param(SOUND, "", id="sound"),
        pytest.param(images.encode(images.photograph(), exif=images.rotated_by_exif()), "", id="rotated"),
        pytest.param(images.encode(images.photograph().convert("CMYK")), "", id="cmyk"),
        pytest.param(images.ycck(), "", id="ycck"),
        pytest.param(SOUND + bytes(3000), "", id="more after the end"),
        pytest.param(SOUND[:-2] + b"abcd\xff\xd9", "extraneous bytes before marker 0xd9", id="extraneous"),
        pytest.param(images.with_segments(SOUND, b"abc"), "3 extraneous bytes before", id="between segments"),
        pytest.param(
            SOUND[:3000] + b"\xff\xd9", "premature end of data segment", id="truncated, with an end"
        ),
        pytest.param(SOUND[:3000], "Premature end of JPEG file", id="truncated"),
        pytest.param(
            images.with_segments(SOUND, images.segment(0xFE, b"comment")[:-1]), "extraneous", id="length"
        ),
        pytest.param(SOUND.replace(b"JFIF\0\x01", b"JFIF\0\x09"), "unknown JFIF revision", id="revision"),
        pytest.param(images.encode(images.photograph(), "PNG"), "", id="png"),
        pytest.param(b"\xff\xd8\xff", "", id="no image"),
        pytest.param(b"", "", id="empty"),
    ],
)
def test_the_first_warning_is_returned(encoded, words):
    warning = jpeg.first_warning(encoded)
    assert words in warning
    assert bool(words) == bool(warning)


def test_nvimgcodec_is_imported_quietly():
    """By default it warns about every GPU library that is missing."""
    script = (
        "import os\n"
        "from flax_googlenet.data.images import jpeg\n"
        "before = dict(os.environ)\n"
        "assert jpeg.import_nvimgcodec() is not None\n"
        "assert dict(os.environ) == before\n"
    )
    process = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, check=False, timeout=60
    )
    assert (process.returncode, process.stdout, process.stderr) == (0, "", "")
