"""The random order of training examples, and the random numbers of their crops.

All of them are pure functions of (seed, epoch, index), so there is no state to save or restore.
"""

import functools
from collections.abc import Sequence
from typing import Any

import numpy as np
from jaxtyping import Float64, Int64, UInt64

from flax_googlenet.data.images.training_crops import UNIFORMS

# Independent streams of the random generator, one per purpose.
_SHUFFLE, _CROP, _SUBSTITUTE = 0, 1, 2


def raw_random(seed: int, stream: int, epoch: int, index: int, count: int) -> UInt64[np.ndarray, " {count}"]:
    """Return random words of the Philox counter generator, which depend only on the arguments.

    NumPy guarantees that these raw words never change. `Generator.permutation` and other
    distributions have no such guarantee.
    """
    key, counter = np.array([seed, stream], np.uint64), np.array([0, 0, index, epoch], np.uint64)
    return np.random.Philox(key=key, counter=counter).random_raw(count)


@functools.lru_cache(maxsize=4)
def permutation(seed: int, epoch: int, length: int) -> Int64[np.ndarray, " {length}"]:
    """Return the order of all examples in an epoch.

    >>> sorted(permutation(0, 3, 5).tolist())
    [0, 1, 2, 3, 4]
    """
    order = np.argsort(raw_random(seed, _SHUFFLE, epoch, 0, length), kind="stable")
    order.flags.writeable = False
    return order


def crop_uniforms(seed: int, examples: Sequence[tuple[int, int]]) -> Float64[np.ndarray, "examples 41"]:
    """Return the numbers in [0, 1) that determine the training crops of examples.

    Args:
      seed: the seed of the run.
      examples: the epoch and the index of each example.
    """
    raw = np.empty((len(examples), UNIFORMS), np.uint64)
    # To set the counter of one generator takes a fifth of the time to make one for each example.
    generator = np.random.Philox(key=np.array([seed, _CROP], np.uint64))
    state: Any = generator.state
    counter = state["state"]["counter"]
    for row, (epoch, index) in enumerate(examples):
        counter[2], counter[3] = index, epoch
        generator.state = state
        raw[row] = generator.random_raw(UNIFORMS)
    return (raw >> np.uint64(11)) * 2.0**-53


def substitute(seed: int, epoch: int, index: int, attempt: int, length: int) -> int:
    """Return the index of the example that replaces a corrupt one, drawn anew for each attempt."""
    return int(raw_random(seed, _SUBSTITUTE, epoch, index, attempt)[-1] % np.uint64(length))
