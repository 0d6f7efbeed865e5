"""The rows of the study: each variant with each initializer, and the shipped recipes."""

import dataclasses
from collections.abc import Mapping
from typing import Any

from flax_googlenet.models.initialization import INITIALIZERS
from flax_googlenet.variants import VARIANTS


@dataclasses.dataclass(frozen=True)
class Row:
    """A network, its initialization and its recipe.

    Attributes:
      name: the name of the row, also of its directory.
      note: what it shows.
      overrides: config keys that differ from those of the study and of the recipe.
      recipe: a file of configs/, FILE.py[:ARGUMENT=VALUE], whose network, loss and optimizer the row has; ""
        for the defaults.
      rescaled: whether the kernels are scaled on a batch (`rescaling.rescale`).
      default: whether the study has the row unless --rows says otherwise.
    """

    name: str
    note: str
    overrides: Mapping[str, Any]
    recipe: str = ""
    rescaled: bool = False
    default: bool = True


_GRID = tuple(
    Row(
        f"{variant}_{initializer}",
        f"{variant}, {initializer}.",
        {"model.variant": variant, "model.initializer": initializer},
        default=variant not in ("naive", "vgg16"),  # which take several times as long
    )
    for variant in VARIANTS
    for initializer in INITIALIZERS
)

_RESCALED = tuple(
    Row(
        f"{variant}_lsuv",
        f"{variant}, He's kernels scaled to outputs of unit variance on a batch (LSUV).",
        {"model.variant": variant, "model.initializer": "he"},
        rescaled=True,
    )
    for variant in ("paper", "bvlc")  # batch normalization makes it void
)

# fmt: off
_RECIPES = (
    Row("recipe_mnist_sample", "configs/mnist_sample.py.", {}, "configs/mnist_sample.py"),
    Row("recipe_bvlc", "configs/bvlc.py.", {}, "configs/bvlc.py"),
    Row("recipe_paper", "configs/paper.py.", {}, "configs/paper.py"),
    Row("recipe_modern", "configs/modern.py, in float32.", {"model.dtype": "float32"}, "configs/modern.py"),
    *(Row(f"recipe_imagenet_{variant}", f"configs/imagenet.py with {variant}.", {},
          f"configs/imagenet.py:variant={variant}") for variant in ("paper", "bvlc", "torchvision", "bn")),
)
# fmt: on

ROWS: dict[str, Row] = {row.name: row for row in (*_GRID, *_RESCALED, *_RECIPES)}
DEFAULT_ROWS = tuple(row.name for row in ROWS.values() if row.default)
