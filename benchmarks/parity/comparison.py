"""Comparisons of our arrays with a peer's, and networks with random weights to compare."""

import dataclasses
import pathlib
from collections.abc import Mapping
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import torch

import flax_googlenet
from flax_googlenet import checkpoints
from flax_googlenet.config import resolve, to_json_dict
from flax_googlenet.models import Network, build_model

Arrays = Mapping[str, Any]


@dataclasses.dataclass(frozen=True)
class Comparison:
    """A comparison of our arrays with a peer's.

    Attributes:
      name: the arrays and the peer.
      errors: relative error of each array, by the peer's name.
      tolerance: largest relative error that rounding explains.
    """

    name: str
    errors: Mapping[str, float]
    tolerance: float = 1e-4

    @property
    def worst(self) -> str:
        """Return the name of the array with the largest error."""
        return max(self.errors, key=lambda name: self.errors[name])

    def row(self) -> dict[str, Any]:
        """Return the comparison as a row of a result file."""
        return {
            "name": self.name,
            "arrays": len(self.errors),
            "error": self.errors[self.worst],
            "worst": self.worst,
            "tolerance": self.tolerance,
        }


def relative_error(ours: Any, expected: Any) -> float:
    """Return the largest absolute difference, relative to the largest absolute value of `expected`."""
    ours, expected = np.asarray(ours, np.float64), np.asarray(expected, np.float64)
    if ours.shape != expected.shape:
        raise ValueError(f"shapes differ: {ours.shape} and {expected.shape}")
    return float(np.abs(ours - expected).max() / max(np.abs(expected).max(), np.finfo(np.float32).tiny))


def compare(name: str, ours: Arrays, expected: Arrays, tolerance: float = 1e-4) -> Comparison:
    """Compare arrays by name.

    Raises:
      ValueError: if the names or the shapes differ.
    """
    if ours.keys() != expected.keys():
        raise ValueError(f"names differ: {sorted(ours.keys() ^ expected.keys())}")
    errors = {key: relative_error(ours[key], expected[key]) for key in expected}
    return Comparison(name, errors, tolerance)


def channels_first(pixels: np.ndarray) -> torch.Tensor:
    """Return [batch, height, width, 3] as a tensor in PyTorch's layout."""
    return torch.from_numpy(pixels).permute(0, 3, 1, 2).contiguous()


def random_variables(model: Network, size: int, seed: int = 0) -> Any:
    """Draw He-distributed kernels, and biases, scales and statistics none of which is 0 or 1."""
    rng = np.random.default_rng(seed)

    def draw(path: tuple[str, ...], shape: tuple[int, ...]) -> np.ndarray:
        if path[-1] == "kernel":
            return rng.normal(0, (2 / np.prod(shape[:-1])) ** 0.5, shape)
        return rng.uniform(0.5, 1.5, shape) if path[-1] in ("scale", "var") else rng.normal(0, 0.1, shape)

    x = jax.ShapeDtypeStruct((1, size, size, 3), jnp.float32)
    shapes = jax.eval_shape(model.init, jax.random.key(0), x)
    return jax.tree_util.tree_map_with_path(
        lambda path, leaf: draw(tuple(part.key for part in path), leaf.shape).astype(np.float32), shapes
    )


def random_checkpoint(directory: pathlib.Path, size: int, **options: Any) -> flax_googlenet.Classifier:
    """Write a checkpoint with random weights and load it."""
    config = resolve({"model": options, "data": {"image_size": size, "resize": size}})
    names = tuple(map(str, range(config.model.num_classes)))
    description = checkpoints.Description(0, to_json_dict(config), names)
    checkpoints.write(str(directory), random_variables(build_model(config.model), size), description)
    return flax_googlenet.load(directory)
