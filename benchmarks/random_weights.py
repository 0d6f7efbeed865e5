"""Networks with random weights."""

import pathlib
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

import flax_googlenet
from flax_googlenet import checkpoints
from flax_googlenet.config import resolve, to_json_dict
from flax_googlenet.models import Network, build_model


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
