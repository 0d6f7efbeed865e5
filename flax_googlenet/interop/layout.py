"""Conversion between our arrays and those of frameworks that put channels first.

PyTorch, Caffe and ONNX keep the kernel of a convolution as [out, in, height, width] and that of
a linear layer as [out, in], and they flatten a map in the order channels, height, width. Here
kernels are [height, width, in, out] and [in, out], and a map is flattened in the order height,
width, channels.
"""

from collections.abc import Mapping
from typing import Any

import numpy as np
from flax.traverse_util import flatten_dict, unflatten_dict

from flax_googlenet.errors import UserError
from flax_googlenet.interop.naming import Naming, Path

Tensors = Mapping[str, np.ndarray]  # arrays of another framework, by its names

_AUXILIARY_SIDE = 4  # height and width of the map that an auxiliary head flattens


def channels_first(path: Path, array: np.ndarray) -> np.ndarray:
    """Convert an array from our layout to that of the other frameworks."""
    if array.ndim == 4:
        return array.transpose(3, 2, 0, 1)
    if _reads_flattened_map(path, array):
        maps = array.reshape(_AUXILIARY_SIDE, _AUXILIARY_SIDE, -1, array.shape[-1])
        return maps.transpose(3, 2, 0, 1).reshape(array.shape[::-1])
    return array.T


def channels_last(path: Path, array: np.ndarray) -> np.ndarray:
    """Convert an array of another framework to our layout; the inverse of `channels_first`."""
    if array.ndim == 4:
        return array.transpose(2, 3, 1, 0)
    if _reads_flattened_map(path, array):
        maps = array.reshape(array.shape[0], -1, _AUXILIARY_SIDE, _AUXILIARY_SIDE)
        return maps.transpose(2, 3, 1, 0).reshape(array.shape[::-1])
    return array.T


def _reads_flattened_map(path: Path, array: np.ndarray) -> bool:
    return array.ndim == 2 and path[1].startswith("aux_") and path[2] == "fc"


def compare_names(
    tensors: Tensors, variables: Mapping[str, Any], naming: Naming
) -> tuple[list[str], list[str]]:
    """Compare the tensors of a file with those that a network needs.

    Args:
      tensors: the tensors of the file.
      variables: the network's variables, or their shapes.
      naming: the names of the network's arrays in the file.

    Returns:
      The names that the file lacks, in the order of the layers, and the names that the
      network has no use for.
    """
    expected = [naming(path) for path in sorted(flatten_dict(variables), key=_layer_order)]
    missing = [name for name in expected if name not in tensors]
    return missing, [name for name in tensors if name not in set(expected)]


def _layer_order(path: Path) -> tuple[int, Path]:
    """Return a key that sorts arrays from the first layer to the last, with auxiliary heads at the end."""
    stages = ("stem", "inception", "fc", "head", "aux")
    return next((i for i, stage in enumerate(stages) if path[1].startswith(stage)), 0), path[1:]


def from_tensors(tensors: Tensors, variables: Mapping[str, Any], naming: Naming, file: str) -> dict[str, Any]:
    """Convert the tensors of another framework to a network's variables.

    Args:
      tensors: the tensors of the file.
      variables: the network's variables, which are kept where the file lacks a tensor. Their
        shapes are enough if it lacks none.
      naming: the names of the network's arrays in the file.
      file: identifies the file in error messages.

    Raises:
      UserError: if a tensor and the network's array differ in shape.
    """

    def convert(path: Path, leaf: Any) -> np.ndarray:
        name = naming(path)
        if name not in tensors:
            return np.asarray(leaf)
        expected = channels_first(path, np.empty(leaf.shape, np.float32)).shape
        tensor = tensors[name]
        if tensor.ndim > len(expected) and tensor.size == np.prod(expected):
            tensor = tensor.reshape(expected)  # Caffe keeps linear layers as 1x1xOUTxIN
        if tensor.shape != expected:
            raise UserError(
                f"{file} is of another network: {name} is {_shape(tensors[name].shape)} in the file and "
                f"{_shape(expected)} in the network."
            )
        return np.ascontiguousarray(channels_last(path, tensor), np.float32)

    converted: dict[str, Any] = unflatten_dict(
        {path: convert(path, leaf) for path, leaf in flatten_dict(variables).items()}
    )
    return converted


def to_tensors(variables: Mapping[str, Any], naming: Naming) -> dict[str, np.ndarray]:
    """Return a network's variables as the tensors of another framework."""
    return {
        naming(path): np.ascontiguousarray(channels_first(path, np.asarray(leaf)))
        for path, leaf in sorted(flatten_dict(variables).items())
    }


def _shape(shape: tuple[int, ...]) -> str:
    return "x".join(map(str, shape)) or "a scalar"
