"""Weights of checkpoints, compared array by array."""

import numpy as np
from flax.traverse_util import flatten_dict

import flax_googlenet


def arrays(directory) -> dict[str, np.ndarray]:
    """Return the variables that `load` reads from a directory, by joined path."""
    return flatten_dict(flax_googlenet.load(directory).variables, sep="/")


def assert_same(one: dict[str, np.ndarray], other: dict[str, np.ndarray]) -> None:
    """Check that two sets of arrays are identical."""
    assert one.keys() == other.keys()
    for name in one:
        np.testing.assert_array_equal(one[name], other[name], err_msg=name)
