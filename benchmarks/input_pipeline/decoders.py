"""What no loader can be faster than: decoders alone, in threads, without resizing or batches."""

import pathlib
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import NamedTuple

import cv2
import numpy as np
import simplejpeg

from flax_googlenet.data.images import decoding
from flax_googlenet.data.images.boxes import random_resized_box
from flax_googlenet.data.order import crop_uniforms


class Decoder(NamedTuple):
    """What it is called, and how it decodes the file of that index."""

    description: str
    decode: Callable[[bytes, int], None]

    def counts(self, folder: pathlib.Path, workers: int) -> Iterator[int]:
        """Decode a folder's files, which are in memory, over and over; yield how many."""
        files = [each.read_bytes() for each in sorted(folder.glob("train/*/*"))]
        with ThreadPoolExecutor(workers) as pool:
            while True:
                yield len(list(pool.map(self.decode, files, range(len(files)))))


def _part(encoded: bytes, index: int) -> None:
    uniforms = crop_uniforms(0, 0, index)[:40]
    file = decoding.ImageFile(encoded, "")
    file.decode_box(random_resized_box(file.height, file.width, uniforms))


def _whole(encoded: bytes, _: int) -> None:
    simplejpeg.decode_jpeg(encoded)


def _huffman(encoded: bytes, _: int) -> None:
    """An eighth of the size and no colour: nearly all of it is reading the Huffman codes."""
    cv2.imdecode(np.frombuffer(encoded, np.uint8), cv2.IMREAD_REDUCED_GRAYSCALE_8)


DECODERS = {
    "part": Decoder("the part that a crop needs, nvimgcodec", _part),
    "whole": Decoder("the whole file, simplejpeg", _whole),
    "huffman": Decoder("the Huffman codes of the whole file", _huffman),
}
