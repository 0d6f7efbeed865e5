"""Reading the arrays of checkpoints. Only this module and `manager`, which saves them, know Orbax."""

import logging
from collections.abc import Mapping
from typing import Any

import jax
import numpy as np
import orbax.checkpoint as ocp
from etils import epath
from flax.traverse_util import flatten_dict

from flax_googlenet.checkpoints.integrity import verify_digests
from flax_googlenet.distributed import process_index
from flax_googlenet.errors import UserError

logger = logging.getLogger(__name__)


def evaluation_variables(weights: Mapping[str, Any]) -> dict[str, Any]:
    """Return the variables to evaluate with: the averaged ones if they are complete, else the last ones.

    Averaged parameters need batch statistics of their own, which formats 1 and 2 and preempted runs do not
    keep.

    Args:
      weights: "params" and "batch_stats"; and "averaged_params" and "averaged_batch_stats", which are
        empty or missing if the run does not average.
    """
    statistics = weights.get("batch_stats") or {}
    averaged, averaged_statistics = (
        weights.get(name) or {} for name in ("averaged_params", "averaged_batch_stats")
    )
    if averaged and bool(averaged_statistics) == bool(statistics):
        return {"params": averaged, "batch_stats": averaged_statistics}
    return {"params": weights["params"], "batch_stats": statistics}


def read_weights(checkpoint: epath.Path, like: Mapping[str, Any] | None = None) -> dict[str, Any]:
    """Read the variables to evaluate with, as `evaluation_variables` chooses them.

    Args:
      checkpoint: the directory of a checkpoint, which may have been written on any number of devices.
      like: the model's variables as shapes with shardings, which say where to place each array; None for
        NumPy arrays of any network.

    Raises:
      UserError: if a file is corrupt or the checkpoint is of another network than `like`.
    """
    verify_digests(checkpoint)
    if like is None:
        weights = jax.tree.map(np.asarray, restore_item(checkpoint, "weights"))
    else:
        variables = {"params": like["params"], "batch_stats": like.get("batch_stats", {})}
        averages = {f"averaged_{name}": tree for name, tree in variables.items()}
        recorded = read_metadata(checkpoint)
        tree = without_absent_averages(variables | averages, recorded)
        check_network(checkpoint, recorded, tree)
        weights = restore_item(checkpoint, "weights", tree)
    chosen = evaluation_variables(weights)
    if weights.get("averaged_params") and chosen["params"] is weights["params"]:
        logger.warning(
            f"{checkpoint} has averaged weights without the batch statistics that belong to them, because "
            "its run was preempted or an earlier version wrote it; the weights of its last step are used"
        )
    return chosen


def read_metadata(checkpoint: epath.Path) -> dict[str, Any]:
    """Return the tree of the item `weights`, with the metadata of each array."""
    with _reader() as reader:
        tree: dict[str, Any] = reader.metadata(checkpoint).item_metadata["weights"].tree
    return tree


def without_absent_averages(weights: Mapping[str, Any], recorded: Mapping[str, Any]) -> dict[str, Any]:
    """Return `weights` without the averages that a checkpoint does not have.

    A run may not have averaged, and formats 1 and 2 and preempted runs have no batch statistics of averaged
    parameters.
    """
    return {
        name: {} if name.startswith("averaged_") and not recorded[name] else tree
        for name, tree in weights.items()
        if name in recorded or not name.startswith("averaged_")
    }


def check_network(checkpoint: epath.Path, recorded: Mapping[str, Any], weights: Mapping[str, Any]) -> None:
    """Check that a checkpoint has the arrays of a network.

    Args:
      checkpoint: the directory of the checkpoint.
      recorded: the tree of its weights, from `read_metadata`.
      weights: the tree of the network's weights.

    Raises:
      UserError: if an array is missing, or has another shape.
    """
    shapes, expected = (
        {path: tuple(leaf.shape) for path, leaf in flatten_dict(tree, sep="/").items()}
        for tree in (recorded, weights)
    )
    for path in sorted(shapes.keys() | expected.keys()):
        if shapes.get(path) != expected.get(path):
            raise UserError(
                f"{checkpoint} is of another network: {path} is {shapes.get(path, 'missing')} there and "
                f"{expected.get(path, 'missing')} here."
            )


def restore_item(checkpoint: epath.Path, item: str, like: Any = None) -> Any:
    """Return the tree of an item.

    Args:
      checkpoint: the directory of the checkpoint.
      item: "weights" or "optimizer".
      like: a tree that says where to place each array; None for NumPy arrays.
    """

    def shape_of(leaf: Any) -> jax.ShapeDtypeStruct:
        return jax.ShapeDtypeStruct(leaf.shape, leaf.dtype, sharding=leaf.sharding)

    shapes = (jax.tree.map(shape_of, like),) if like is not None else ()
    arguments = ocp.args.Composite(**{item: ocp.args.StandardRestore(*shapes)})
    with _reader() as reader:
        return reader.restore(checkpoint, args=arguments)[item]


def _reader() -> ocp.Checkpointer:
    # Orbax warns about every item of a checkpoint for which it has no handler.
    arrays = {name: ocp.StandardCheckpointHandler() for name in ("weights", "optimizer")}
    texts = {name: ocp.JsonCheckpointHandler() for name in ("description", "metrics")}
    # By default Orbax makes all processes meet after reading, in a common operation of the devices, which
    # waits seconds only; but one of them may take much longer to fetch a checkpoint.
    alone = ocp.options.MultiprocessingOptions(
        primary_host=process_index(), active_processes={process_index()}
    )
    handler = ocp.CompositeCheckpointHandler(**arrays, **texts)
    return ocp.Checkpointer(handler, multiprocessing_options=alone)
