"""Between our arrays and those of frameworks that put channels first.

PyTorch, Caffe and ONNX keep a convolution as [out, in, height, width], a linear layer
as [out, in], and flatten a map as channels, height, width. Here they are [height,
width, in, out], [in, out], and height, width, channels.
"""

from collections.abc import Callable, Iterator, Mapping
from typing import Any

import jax
import numpy as np

from flax_googlenet.errors import UserError

Tensors = Mapping[str, np.ndarray]  # by their own names
Path = tuple[str, ...]  # ("params", "stem", "conv1", "conv", "kernel")
Naming = Callable[[Path, Path], str]  # (layer, leaf) -> their name of a tensor

AUXILIARY_MAP = (128, 4, 4)  # channels, height, width that an auxiliary head flattens


def leaves(variables: Any) -> Iterator[tuple[Path, Any]]:
    """Path and leaf of every array, or shape, of a model's variables."""
    for path, leaf in jax.tree_util.tree_flatten_with_path(variables)[0]:
        yield tuple(part.key for part in path), leaf


def split(path: Path) -> tuple[Path, Path]:
    """The layer that an array belongs to, and what it is there.

    >>> split(("batch_stats", "aux_4a", "conv", "norm", "mean"))
    (('aux_4a', 'conv'), ('norm', 'mean'))
    >>> split(("params", "aux_4a", "fc", "kernel"))
    (('aux_4a', 'fc'), ('kernel',))
    """
    place = len(path) - (2 if path[-2] in ("conv", "norm") else 1)
    return path[1:place], path[place:]


def channels_first(path: Path, array: np.ndarray) -> np.ndarray:
    """An array of ours as the others keep it."""
    if array.ndim == 4:
        return array.transpose(3, 2, 0, 1)
    if array.ndim == 2 and _reads_flattened_map(path):
        channels, height, width = AUXILIARY_MAP
        return array.reshape(height, width, channels, -1).transpose(3, 2, 0, 1).reshape(array.shape[::-1])
    return array.T


def channels_last(path: Path, array: np.ndarray) -> np.ndarray:
    """The inverse of `channels_first`."""
    if array.ndim == 4:
        return array.transpose(2, 3, 1, 0)
    if array.ndim == 2 and _reads_flattened_map(path):
        return array.reshape(-1, *AUXILIARY_MAP).transpose(2, 3, 1, 0).reshape(array.shape[::-1])
    return array.T


def _reads_flattened_map(path: Path) -> bool:
    return path[1].startswith("aux_") and path[2] == "fc"


def account(tensors: Tensors, variables: Any, naming: Naming) -> tuple[list[str], list[str]]:
    """Which of their tensors a network wants and `tensors` lack, and which it has no place for.

    Args:
      tensors: theirs, by name.
      variables: the network's, or their shapes.
      naming: their name for each of ours.
    """
    wanted = [naming(*split(path)) for path in sorted((path for path, _ in leaves(variables)), key=_depth)]
    unused = tensors.keys() - set(wanted)
    return [name for name in wanted if name not in tensors], [name for name in tensors if name in unused]


def _depth(path: Path) -> tuple[int, Path]:
    """Orders arrays from the images to the classes, so that what is named first tells most."""
    stages = ("stem", "inception", "fc", "head", "aux")
    return next((i for i, stage in enumerate(stages) if path[1].startswith(stage)), 0), path[1:]


def convert(tensors: Tensors, variables: Any, naming: Naming, file: str) -> Any:
    """Put the tensors of another framework in the places of ours.

    Args:
      tensors: theirs, by name.
      variables: the network's, kept where a tensor is missing; if none is, shapes will do.
      naming: their name for each of ours.
      file: what to call their source in an error.

    Raises:
      UserError: a tensor has another shape than the network's.
    """

    def place(path: Path, leaf: Any) -> np.ndarray:
        name = naming(*split(path))
        if name not in tensors:
            return np.asarray(leaf)
        wanted = channels_first(path, np.broadcast_to(np.float32(0), leaf.shape)).shape
        found = tensors[name]
        if found.ndim > len(wanted) and found.size == np.prod(wanted):
            found = found.reshape(wanted)  # Caffe keeps linear layers as 1x1xOUTxIN
        if found.shape != wanted:
            raise UserError(
                f"{file} is of another network: {name} is {_shape(tensors[name].shape)} there and "
                f"{_shape(wanted)} here."
            )
        return np.ascontiguousarray(channels_last(path, found), np.float32)

    return jax.tree_util.tree_map_with_path(
        lambda path, leaf: place(tuple(part.key for part in path), leaf), variables
    )


def to_tensors(variables: Any, naming: Naming) -> dict[str, np.ndarray]:
    """Ours, by their names and in their layout."""
    return {
        naming(*split(path)): np.ascontiguousarray(channels_first(path, np.asarray(leaf)))
        for path, leaf in leaves(variables)
    }


def _shape(shape: tuple[int, ...]) -> str:
    return "x".join(map(str, shape)) or "a scalar"
