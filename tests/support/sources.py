"""Sources of examples in memory."""

import cv2
import numpy as np

from flax_googlenet.data import Example


def image(value: int, height: int = 8, width: int = 12, suffix: str = ".png") -> bytes:
    """Return an encoded image of one gray level."""
    return cv2.imencode(suffix, np.full((height, width, 3), value, np.uint8))[1].tobytes()


class Listed:
    """A source of given pairs (encoded image, or exception to raise, and label)."""

    def __init__(self, *examples, class_names=("cat", "dog"), prefix="x"):
        self.class_names = class_names
        self._examples, self._prefix = examples, prefix

    def __len__(self):
        return len(self._examples)

    def __getitem__(self, index):
        encoded, label = self._examples[index]
        if isinstance(encoded, Exception):
            raise encoded
        return Example(encoded, label, f"{self._prefix}{index}")
