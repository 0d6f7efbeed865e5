"""Small networks with weights that nothing trained."""

import dataclasses
from collections.abc import Iterable
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from flax import linen as nn

from flax_googlenet.table import TABLE_1, PaperRow, RowKind

# XLA may skip a rounding to bfloat16 and back. With this compiler option it may not.
AS_WRITTEN = {"xla_allow_excess_precision": False}


def shrink_table() -> tuple[PaperRow, ...]:
    """Return the rows of Table 1 that a network needs, with a sixteenth of the filters: quick to compile."""
    names = ("conv1", "pool1", "conv2", "pool2", "inception_3a", "pool3", "inception_4a", "inception_4d")
    kinds = (RowKind.AVERAGE_POOL, RowKind.DROPOUT, RowKind.LINEAR)
    return shrunk([row for row in TABLE_1 if row.name in names or row.kind in kinds])


def shrunk(rows: Iterable[PaperRow]) -> tuple[PaperRow, ...]:
    """Return rows with a sixteenth of their filters."""
    return tuple(
        dataclasses.replace(row, filters=tuple(max(n // 16, 1) for n in row.filters)) for row in rows
    )


def random_variables(model: nn.Module, seed: int = 0, image_size: int = 32) -> dict[str, Any]:
    """Return normally distributed variables of a network, without compiling its initialization."""
    rng = np.random.default_rng(seed)
    images = jnp.zeros((1, image_size, image_size, 3))
    shapes = jax.eval_shape(model.init, jax.random.key(0), images)
    return jax.tree.map(lambda leaf: rng.normal(0, 0.1, leaf.shape).astype(np.float32), shapes)
