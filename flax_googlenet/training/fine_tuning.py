"""Starting from the weights of another run; the rest is in `flax_googlenet.inheritance`."""

import dataclasses
from collections.abc import Mapping, Sequence
from typing import Any

from flax.traverse_util import flatten_dict, unflatten_dict
from jax.sharding import NamedSharding

from flax_googlenet import checkpoints
from flax_googlenet.data.sources.classes import same_classes
from flax_googlenet.errors import UserError
from flax_googlenet.models.googlenet import AUXILIARY_HEADS
from flax_googlenet.sharding import put_copies
from flax_googlenet.training.state import TrainState

AUX_HEADS = tuple(AUXILIARY_HEADS.values())
LAST_LAYERS = ("head", *(f"{head}/head" for head in AUX_HEADS))


@dataclasses.dataclass(frozen=True)
class Start:
    """The weights that a run starts with.

    Attributes:
      params, batch_stats: nested as the network's own, arrays of the host; without those
        that start fresh.
      origin: what the run's checkpoints say of where its weights come from.
      summary: what was loaded and what was not, in a line.
    """

    params: Mapping[str, Any]
    batch_stats: Mapping[str, Any]
    origin: Mapping[str, str]
    summary: str


def read_start(init_from: str, params: Any, batch_stats: Any, class_names: Sequence[str]) -> Start:
    """Read a checkpoint's weights for a network that may differ from it in its heads.

    Last layers for other classes start fresh, as do auxiliary heads that the checkpoint does
    not have; those that the network does not have are dropped.

    Args:
      init_from: a run's workdir or a checkpoint, as `checkpoints.opened` takes it.
      params, batch_stats: shapes of the network's own.
      class_names: of the data set.

    Raises:
      UserError: there is no checkpoint, a file of it is damaged, or it is of another network.
    """
    with checkpoints.opened(init_from, checkpoints.EVALUATION_ITEMS) as checkpoint:
        described = checkpoints.describe(checkpoint)
        weights = checkpoints.read_weights(checkpoint)
    there, here = flatten_dict(weights), flatten_dict({"params": params, "batch_stats": batch_stats})
    fresh = _modules_absent(there, here)
    dropped = _modules_absent(here, there)
    has_other_classes = not same_classes(described.class_names, class_names)
    renewed = set()
    trunk_first = lambda path: (path[0] != "params", path[1] in AUX_HEADS, path)  # noqa: E731
    for path in sorted(there.keys() | here.keys(), key=trunk_first):
        a, b = (arrays[path].shape if path in arrays else None for arrays in (there, here))
        layer, name = "/".join(path[1:-1]), "/".join(path[1:])
        if path[1] in fresh + dropped:
            continue
        if a == b:
            if layer in LAST_LAYERS and has_other_classes:
                renewed.add(layer)
            continue
        if layer not in LAST_LAYERS or a is None or b is None or a[:-1] != b[:-1]:
            raise UserError(
                f"{init_from} is of another network: {name} is {'missing' if a is None else a} there "
                f"and {'missing' if b is None else b} here."
            )
        renewed.add(layer)
    loaded = {
        path: array for path, array in there.items() if path in here and "/".join(path[1:-1]) not in renewed
    }
    parts = (
        f"init_from {init_from}: loaded {len(loaded)} arrays",
        _listed("fresh because the classes are others", sorted(renewed, key=LAST_LAYERS.index)),
        _listed(f"fresh because {init_from} has none", fresh),
        _listed("dropped because the network has none", dropped),
    )
    nested = unflatten_dict(loaded)
    return Start(
        nested.get("params", {}),
        nested.get("batch_stats", {}),
        {**described.origin, "init_from": init_from, "init_from_step": str(described.step)},
        "; ".join(filter(None, parts)),
    )


def with_weights(state: TrainState, start: Start, everywhere: NamedSharding) -> TrainState:
    """A fresh state with the weights of a start in place of its own, the averaged ones too."""

    def load(fresh: Any, loaded: Mapping[str, Any]) -> Any:
        placed = put_copies(loaded, everywhere)
        return unflatten_dict({**flatten_dict(fresh), **flatten_dict(placed)})

    return dataclasses.replace(
        state,
        params=load(state.params, start.params),
        batch_stats=load(state.batch_stats, start.batch_stats),
        averaged_params=load(state.averaged_params, start.params) if state.averaged_params else {},
        averaged_batch_stats=load(state.averaged_batch_stats, start.batch_stats)
        if state.averaged_batch_stats
        else {},
    )


def _modules_absent(there: Mapping[tuple[str, ...], Any], here: Mapping[tuple[str, ...], Any]) -> list[str]:
    """Auxiliary heads of one network of which the other has not a single array."""
    return [
        head
        for head in AUX_HEADS
        if any(path[1] == head for path in here) and not any(path[1] == head for path in there)
    ]


def _listed(why: str, names: list[str]) -> str:
    return f"{why}: {', '.join(names)}" if names else ""
