"""Decoders alone, in threads, without resizing or batching: an upper bound for every loader."""

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
    """A decoder to measure.

    Attributes:
      description: its row in the table.
      decode: decodes the bytes of the file with an index.
    """

    description: str
    decode: Callable[[bytes, int], None]

    def counts(self, folder: pathlib.Path, workers: int) -> Iterator[int]:
        """Decode the files of a directory from memory, endlessly, and yield their number after each pass."""
        files = [path.read_bytes() for path in sorted(folder.glob("train/*/*"))]
        with ThreadPoolExecutor(workers) as pool:
            while True:
                yield len(list(pool.map(self.decode, files, range(len(files)))))


def _part(encoded: bytes, index: int) -> None:
    (uniforms,) = crop_uniforms(0, [(0, index)]).tolist()
    file = decoding.ImageFile(encoded, "")
    file.open_box(random_resized_box(file.height, file.width, uniforms))()


def _whole(encoded: bytes, _: int) -> None:
    simplejpeg.decode_jpeg(encoded)


def _huffman(encoded: bytes, _: int) -> None:
    """Decode to an eighth of the size without color, which mostly reads the Huffman codes."""
    cv2.imdecode(np.frombuffer(encoded, np.uint8), cv2.IMREAD_REDUCED_GRAYSCALE_8)


DECODERS = {
    "part": Decoder("the part that a crop needs, nvimgcodec", _part),
    "whole": Decoder("the whole file, simplejpeg", _whole),
    "huffman": Decoder("the Huffman codes of the whole file", _huffman),
}
