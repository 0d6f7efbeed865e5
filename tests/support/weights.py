"""Weights of checkpoints, compared array by array."""

import numpy as np

import flax_googlenet
from flax_googlenet.interop import layout


def arrays(directory) -> dict[str, np.ndarray]:
    """Return the variables that `load` reads from a directory, by joined path."""
    return {"/".join(path): leaf for path, leaf in layout.leaves(flax_googlenet.load(directory).variables)}


def assert_same(one: dict[str, np.ndarray], other: dict[str, np.ndarray]) -> None:
    assert one.keys() == other.keys()
    for name in one:
        np.testing.assert_array_equal(one[name], other[name], err_msg=name)
