"""Comparisons of our arrays with a peer's."""

import dataclasses
from collections.abc import Mapping
from typing import Any

import numpy as np
import torch

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
