"""Image files of every kind, sound and corrupt, made from a photograph that scikit-learn ships."""

import functools
import io
import struct
import zlib

import cv2
import numpy as np
import PIL.Image
from sklearn.datasets import load_sample_image


@functools.cache
def photograph(height: int = 96, width: int = 128) -> PIL.Image.Image:
    return PIL.Image.fromarray(load_sample_image("china.jpg")).resize((width, height))


def encode(image: PIL.Image.Image, kind: str = "JPEG", **options: object) -> bytes:
    file = io.BytesIO()
    image.save(file, kind, **options)
    return file.getvalue()


def rotated_by_exif() -> PIL.Image.Exif:
    exif = PIL.Image.Exif()
    exif[0x0112] = 6  # to be rotated clockwise
    return exif


def maker_exif() -> PIL.Image.Exif:
    """Return EXIF data without an orientation."""
    exif = PIL.Image.Exif()
    exif[0x010F] = "maker"
    return exif


def exif_segment(orientation: int, order: str = "<", fill: int = 0) -> bytes:
    """Return an APP1 segment with an orientation.

    Args:
      orientation: 1 to 8.
      order: the byte order, "<" or ">".
      fill: the number of fill bytes before its marker.
    """
    maker = struct.pack(order + "HHI4s", 0x010F, 2, 4, b"abc\0")
    rotation = struct.pack(order + "HHIHH", 0x0112, 3, 1, orientation, 0)
    header = {"<": b"II", ">": b"MM"}[order] + struct.pack(order + "HIH", 42, 8, 2)
    return segment(0xE1, b"Exif\0\0" + header + maker + rotation + bytes(4), fill)


def segment(marker: int, content: bytes, fill: int = 0) -> bytes:
    """Return a segment of a JPEG file, after a number of fill bytes."""
    return bytes([255] * (1 + fill) + [marker]) + struct.pack(">H", 2 + len(content)) + content


def with_segments(encoded: bytes, segments: bytes, before: int = 0xDB) -> bytes:
    """Insert segments into a JPEG file before the first marker of a kind."""
    position = encoded.index(bytes([255, before]))
    return encoded[:position] + segments + encoded[position:]


def ycck() -> bytes:
    """Return a CMYK file that Adobe's marker declares to be YCCK."""
    encoded = bytearray(encode(photograph().convert("CMYK"), quality=95))
    encoded[encoded.index(b"Adobe") + 11] = 2
    return bytes(encoded)


def sixteen_bit(mode: str) -> bytes:
    pixels = np.asarray(photograph().convert(mode)).astype(np.uint16) * 257
    return cv2.imencode(".png", pixels if pixels.ndim == 2 else pixels[..., ::-1])[1].tobytes()


def huge_jpeg(**options: object) -> bytes:
    """Return a small file whose header declares 30,000 x 30,000 pixels."""
    encoded = bytearray(encode(photograph(), **options))
    at = encoded.index(b"\xff\xc0") + 5
    encoded[at : at + 4] = struct.pack(">HH", 30000, 30000)
    return bytes(encoded)


def huge_png() -> bytes:
    def chunk(kind: bytes, content: bytes) -> bytes:
        return (
            struct.pack(">I", len(content)) + kind + content + struct.pack(">I", zlib.crc32(kind + content))
        )

    header = struct.pack(">IIBBBBB", 30000, 30000, 8, 2, 0, 0, 0)
    return (
        b"\x89PNG\r\n\x1a\n"
        + chunk(b"IHDR", header)
        + chunk(b"IDAT", zlib.compress(bytes(1000)))
        + chunk(b"IEND", b"")
    )


# Files that can be decoded, the mode of their photograph, and the largest mean difference from its pixels.
DECODABLE = {
    "jpeg": (lambda: encode(photograph(), quality=95), "RGB", 4),
    "progressive": (lambda: encode(photograph(), quality=95, progressive=True), "RGB", 4),
    "a tail of zeros": (lambda: encode(photograph(), quality=95) + bytes(100), "RGB", 4),
    "png": (lambda: encode(photograph(), "PNG"), "RGB", 0),
    "webp": (lambda: encode(photograph(), "WEBP", quality=95), "RGB", 5),
    "tiff": (lambda: encode(photograph(), "TIFF"), "RGB", 0),
    "bmp": (lambda: encode(photograph(), "BMP"), "RGB", 0),
    "gif": (lambda: encode(photograph(), "GIF"), "RGB", 8),
    "cmyk": (lambda: encode(photograph().convert("CMYK"), quality=95), "RGB", 4),
    "gray jpeg": (lambda: encode(photograph().convert("L"), quality=95), "L", 3),
    "gray png": (lambda: encode(photograph().convert("L"), "PNG"), "L", 1),
    "gray, 16 bits": (lambda: sixteen_bit("L"), "L", 1),
    "16 bits": (lambda: sixteen_bit("RGB"), "RGB", 0),
    "alpha": (lambda: encode(photograph().convert("RGBA"), "PNG"), "RGB", 0),
    "gray and alpha": (lambda: encode(photograph().convert("LA"), "PNG"), "L", 1),
    "palette": (lambda: encode(photograph().convert("P"), "PNG"), "RGB", 25),
    "jfif and half of exif": (
        lambda: with_segments(encode(photograph(), quality=95), segment(0xE1, b"Exif\0\0II*\0\x08")),
        "RGB",
        4,
    ),
    "upright exif": (lambda: encode(photograph(), quality=95, exif=PIL.Image.Exif()), "RGB", 4),
}

# Files that cannot be decoded.
CORRUPT = {
    "empty": lambda: b"",
    "text": lambda: b"not an image",
    "start of a jpeg": lambda: b"\xff\xd8\xff\xe0",
    "start of a png": lambda: b"\x89PNG\r\n\x1a\n",
    "half a jpeg": lambda: encode(photograph())[: len(encode(photograph())) // 2],
    "a jpeg without its end": lambda: encode(photograph())[:-2],
    "half a progressive jpeg": lambda: encode(photograph(), progressive=True)[
        : len(encode(photograph(), progressive=True)) // 2
    ],
    "half a png": lambda: encode(photograph(), "PNG")[:9000],
    "half a webp": lambda: encode(photograph(), "WEBP")[:1000],
    "30,000 x 30,000 jpeg": huge_jpeg,
    "30,000 x 30,000 jpeg with exif": lambda: huge_jpeg(exif=maker_exif()),
    "30,000 x 30,000 jpeg, rotated": lambda: huge_jpeg(exif=rotated_by_exif()),
    "30,000 x 30,000 png": huge_png,
}


@functools.cache
def square_photograph(side: int) -> np.ndarray:
    """Return the same photograph as a square, uint8 [side, side, 3]."""
    pixels = load_sample_image("china.jpg")
    return cv2.resize(pixels, (side, side), interpolation=cv2.INTER_AREA)
