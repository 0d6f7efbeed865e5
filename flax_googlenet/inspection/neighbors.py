"""The training images whose features are most like those of an image."""

import dataclasses
from collections.abc import Callable, Sequence

import numpy as np
from jaxtyping import Float, Int, UInt8

from flax_googlenet.classifier import Classifier, Image
from flax_googlenet.data import Source
from flax_googlenet.data.batches import read_example
from flax_googlenet.data.images.decoding import decode
from flax_googlenet.data.images.resizing import resize_and_crop
from flax_googlenet.data.order import permutation
from flax_googlenet.errors import CorruptImageError, UserError
from flax_googlenet.inspection.scores import TINY

_BATCH = 32


@dataclasses.dataclass(frozen=True)
class Neighbor:
    """A training image and how much it is like another image.

    Attributes:
      image: its pixels, as the network sees them.
      label: its class.
      name: where it comes from.
      similarity: cosine of the angle between the features, at most 1.
    """

    image: UInt8[np.ndarray, "height width 3"]
    label: int
    name: str
    similarity: float


def nearest(
    features: Float[np.ndarray, "images features"],
    candidates: Float[np.ndarray, "candidates features"],
    count: int,
) -> tuple[Int[np.ndarray, "images neighbors"], Float[np.ndarray, "images neighbors"]]:
    """Return the candidates with the most similar features, best first, and their cosine similarities.

    >>> nearest(np.array([[1.0, 0.0]]), np.array([[0.0, 2.0], [3.0, 0.0], [1.0, 1.0]]), count=2)[0]
    array([[1, 2]])
    """
    similarities = _unit(features) @ _unit(candidates).T
    order = np.argsort(-similarities, axis=1, kind="stable")[:, :count]
    return order, np.take_along_axis(similarities, order, axis=1)


def nearest_training_images(
    classifier: Classifier,
    images: Sequence[Image],
    source: Source,
    *,
    count: int = 5,
    candidates: int = 1000,
    progress: Callable[[int], None] | None = None,
) -> list[list[Neighbor]]:
    """Return the training images that are nearest to each image by the features before the last layer.

    Args:
      classifier: the network.
      images: as in `Classifier.predict`.
      source: the training split.
      count: number of neighbors of each image.
      candidates: number of training images to search. They are chosen at random if there are more.
      progress: called with a number of images whenever so many more have been searched.

    Raises:
      UserError: if a file cannot be read, or every training image is corrupt and is to be skipped.
    """
    chosen = permutation(0, 0, len(source))[:candidates]
    found: list[Neighbor] = []
    features: list[np.ndarray] = []
    for start in range(0, len(chosen), _BATCH):
        some = [_open(source, int(index), classifier) for index in chosen[start : start + _BATCH]]
        sound = [neighbor for neighbor in some if neighbor is not None]
        if sound:
            found += sound
            features.append(classifier.features([neighbor.image for neighbor in sound], batch_size=_BATCH))
        if progress:
            progress(len(some))
    if not found:
        raise UserError("No training image could be decoded; check config.data.")
    flat = np.concatenate(features).reshape(len(found), -1)
    own = classifier.features(images, batch_size=_BATCH).reshape(len(images), -1)
    return [
        [
            dataclasses.replace(found[index], similarity=float(similarity))
            for index, similarity in zip(*row, strict=True)
        ]
        for row in zip(*nearest(own, flat, count), strict=True)
    ]


def _open(source: Source, index: int, classifier: Classifier) -> Neighbor | None:
    """Return a training image whose similarity is not known yet; none if it is corrupt and to be skipped."""
    data = classifier.config.data
    try:
        example = read_example(source, index)
        pixels = decode(example.encoded, example.name)
    except CorruptImageError:
        if data.on_error == "raise":
            raise
        return None
    return Neighbor(resize_and_crop(pixels, data), example.label, example.name, similarity=0.0)


def _unit(vectors: np.ndarray) -> np.ndarray:
    lengths = np.linalg.norm(vectors, axis=1, keepdims=True)
    return vectors / np.maximum(lengths, TINY)
