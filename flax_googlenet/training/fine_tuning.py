"""Initialization from the weights of another run. `flax_googlenet.inheritance` handles the config."""

import dataclasses
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from flax.traverse_util import flatten_dict, unflatten_dict
from jax.sharding import NamedSharding
from jaxtyping import PyTree

from flax_googlenet import checkpoints
from flax_googlenet.data.sources.classes import same_classes
from flax_googlenet.errors import UserError
from flax_googlenet.models.googlenet import AUXILIARY_HEADS
from flax_googlenet.sharding import put_copies
from flax_googlenet.training.state import TrainState

AUX_HEADS = tuple(AUXILIARY_HEADS.values())
LAST_LAYERS = ("head", *(f"{head}/head" for head in AUX_HEADS))

Path = tuple[str, ...]  # of an array: its collection, its layer and its name
Arrays = Mapping[Path, Any]


@dataclasses.dataclass(frozen=True)
class Start:
    """The weights that a run starts from.

    Attributes:
      params, batch_stats: arrays on the host, nested like the network's variables; arrays that
        are newly initialized are missing.
      origin: what the run's checkpoints record about the origin of its weights.
      summary: a sentence on what was loaded.
    """

    params: Mapping[str, PyTree]
    batch_stats: Mapping[str, PyTree]
    origin: Mapping[str, str]
    summary: str


def read_start(init_from: str, params: PyTree, batch_stats: PyTree, class_names: Sequence[str]) -> Start:
    """Read the weights of a checkpoint for a network that may differ from it in its heads.

    Last layers are newly initialized if the classes differ, as are auxiliary heads that the
    checkpoint lacks. Auxiliary heads that the network lacks are dropped.

    Args:
      init_from: a run's workdir or a checkpoint, as for `checkpoints.opened`.
      params, batch_stats: shapes of the network's variables.
      class_names: names of the data set's classes.

    Raises:
      UserError: if there is no checkpoint, it is corrupt, or it holds another network.
    """
    with checkpoints.opened(init_from, checkpoints.EVALUATION_ITEMS) as checkpoint:
        description = checkpoints.describe(checkpoint)
        weights = checkpoints.read_weights(checkpoint)
    source = flatten_dict(weights)
    target = flatten_dict({"params": params, "batch_stats": batch_stats})
    missing, dropped = _missing_heads(source, target), _missing_heads(target, source)
    renewed = set(_layers_of_other_shapes(source, target, missing + dropped, init_from))
    if not same_classes(description.class_names, class_names):
        renewed |= {layer for layer in map(_layer, source.keys() & target.keys()) if layer in LAST_LAYERS}
    loaded = {path: array for path, array in source.items() if path in target and _layer(path) not in renewed}
    summary = (
        f"init_from {init_from}: loaded {len(loaded)} arrays",
        _listed("new because the classes differ", sorted(renewed, key=LAST_LAYERS.index)),
        _listed(f"new because {init_from} lacks them", missing),
        _listed("dropped because the network lacks them", dropped),
    )
    nested = unflatten_dict(loaded)
    return Start(
        nested.get("params", {}),
        nested.get("batch_stats", {}),
        {**description.origin, "init_from": init_from, "init_from_step": str(description.step)},
        "; ".join(filter(None, summary)),
    )


def with_weights(state: TrainState, start: Start, sharding: NamedSharding) -> TrainState:
    """Return an initial state with its weights, and their averages, replaced by those of a start.

    Args:
      state: the initial state.
      start: weights to replace; others stay.
      sharding: sharding of every array; replicated.
    """

    def load(initial: PyTree, loaded: Mapping[str, PyTree]) -> PyTree:
        placed = put_copies(loaded, sharding)
        return unflatten_dict({**flatten_dict(initial), **flatten_dict(placed)})

    averages = {}
    if state.averaged_params:
        averages["averaged_params"] = load(state.averaged_params, start.params)
    if state.averaged_batch_stats:
        averages["averaged_batch_stats"] = load(state.averaged_batch_stats, start.batch_stats)
    return dataclasses.replace(
        state,
        params=load(state.params, start.params),
        batch_stats=load(state.batch_stats, start.batch_stats),
        **averages,
    )


def _layers_of_other_shapes(
    source: Arrays, target: Arrays, ignored: Sequence[str], init_from: str
) -> Iterator[str]:
    """Yield the last layers whose number of classes differs.

    Raises:
      UserError: if any other array differs; names the first one, parameters of the trunk first.
    """

    def order(path: Path) -> tuple[bool, bool, Path]:
        return path[0] != "params", path[1] in AUX_HEADS, path

    for path in sorted(source.keys() | target.keys(), key=order):
        if path[1] in ignored:
            continue
        shape, expected = (arrays[path].shape if path in arrays else None for arrays in (source, target))
        if shape == expected:
            continue
        is_last = _layer(path) in LAST_LAYERS
        if not is_last or shape is None or expected is None or shape[:-1] != expected[:-1]:
            raise UserError(
                f"{init_from} is of another network: {'/'.join(path[1:])} is {_described(shape)} there "
                f"and {_described(expected)} here."
            )
        yield _layer(path)


def _layer(path: Path) -> str:
    return "/".join(path[1:-1])


def _missing_heads(arrays: Arrays, others: Arrays) -> list[str]:
    """Return the auxiliary heads that `others` has and `arrays` lacks."""
    has, other_has = ({path[1] for path in paths} for paths in (arrays, others))
    return [head for head in AUX_HEADS if head in other_has and head not in has]


def _described(shape: tuple[int, ...] | None) -> str:
    return "missing" if shape is None else str(shape)


def _listed(reason: str, names: Sequence[str]) -> str:
    return f"{reason}: {', '.join(names)}" if names else ""
