"""Saving and restoring the arrays of checkpoints. No other module knows Orbax."""

import contextlib
import logging
import os
from collections.abc import Mapping
from typing import Any

import jax
import numpy as np
import orbax.checkpoint as ocp
from etils import epath
from flax.traverse_util import flatten_dict
from orbax.checkpoint.checkpoint_managers import AnyPreservationPolicy, BestN, LatestN

from flax_googlenet.checkpoints.buckets import Staging
from flax_googlenet.checkpoints.description import Description
from flax_googlenet.checkpoints.integrity import ITEMS, verify_digests, write_digests
from flax_googlenet.checkpoints.locations import (
    DIRECTORY,
    find_latest,
    finish_replacements,
    opened,
    set_aside_for_replacement,
    set_aside_incomplete,
)
from flax_googlenet.distributed import meet
from flax_googlenet.errors import UserError
from flax_googlenet.paths import is_remote, make_directory, resolve_path

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


class Checkpoints:
    """The checkpoints of one run. They are saved in the background, and the last and best ones are kept."""

    def __init__(self, workdir: str | os.PathLike, *, keep_last: int, keep_best: int) -> None:
        """Open `WORKDIR/checkpoints`, and make it if it is missing.

        Partial checkpoints left by a killed run are removed, and incomplete directories with the name of
        a checkpoint are set aside.

        Args:
          workdir: the directory of the run.
          keep_last: the number of latest checkpoints to keep.
          keep_best: the number of checkpoints with the highest top1 to keep in addition.
        """
        self.directory = resolve_path(workdir) / DIRECTORY

        def by_top1(metrics: Mapping[str, float]) -> float:
            return metrics["top1"]

        if jax.process_index() == 0:
            self._remove_partial()
            set_aside_incomplete(self.directory)
        self._saving = 0
        self._staging = Staging(self.directory) if is_remote(self.directory) else None
        self._local = self._staging.directory if self._staging else self.directory
        self._manager = ocp.CheckpointManager(
            self._local,
            item_names=ITEMS,
            options=ocp.CheckpointManagerOptions(
                preservation_policy=AnyPreservationPolicy(
                    [
                        LatestN(keep_last),
                        BestN(get_metric_fn=by_top1, n=keep_best, keep_checkpoints_without_metrics=False),
                    ]
                ),
                # Makes Orbax write the metrics, so that a resumed run knows the best checkpoints.
                best_fn=by_top1 if keep_best else None,
                async_options=ocp.AsyncOptions(post_finalization_callback=self._complete),
            ),
        )

    @property
    def latest_step(self) -> int | None:
        """The step of the last complete checkpoint, or None."""
        latest = find_latest(self.directory.parent)
        return None if latest is None else int(latest.name)

    def path(self, step: int) -> str:
        """Return the directory of the checkpoint of a step."""
        return str(self.directory / str(step))

    def save(
        self,
        step: int,
        *,
        weights: Mapping[str, Any],
        optimizer: Mapping[str, Any],
        description: Description,
        metrics: Mapping[str, float] | None = None,
    ) -> None:
        """Copy the arrays to the host, and write them in the background.

        A checkpoint of the same step is replaced: a run that was preempted in an evaluation saved it without
        the figures. It is removed when the new one is complete.

        Args:
          step: the number of updates made.
          weights: the trees that `evaluation_variables` chooses from.
          optimizer: the optimizer's state and the step.
          description: the description of the checkpoint.
          metrics: the figures of the evaluation at this step, if there was one.
        """
        self.wait()
        self._make_room_for(step)
        self._saving = step
        self._manager.save(
            step,
            args=ocp.args.Composite(
                weights=ocp.args.StandardSave(_on_host(weights)),
                optimizer=ocp.args.StandardSave(_on_host(optimizer)),
                description=ocp.args.JsonSave(description.to_json()),
            ),
            metrics=dict(metrics) if metrics else None,
        )

    def restore(
        self, step: int, *, weights: Mapping[str, Any], optimizer: Mapping[str, Any]
    ) -> tuple[dict[str, Any], dict[str, Any]]:
        """Return the weights and the optimizer's state of a step.

        Args:
          step: the step of a complete checkpoint.
          weights, optimizer: trees of arrays, or of shapes with shardings, that say where to place each
            array.

        Raises:
          UserError: if a file is corrupt or the checkpoint is of another network.
        """
        with opened(self.path(step)) as checkpoint:
            verify_digests(checkpoint)
            recorded = _read_metadata(checkpoint)
            weights = _without_absent_averages(weights, recorded)
            _check_network(checkpoint, recorded, weights)
            restored = {"averaged_batch_stats": {}, **_restore_item(checkpoint, "weights", weights)}
            return restored, _restore_item(checkpoint, "optimizer", optimizer)

    def wait(self) -> None:
        """Block until the last save is on disk, and raise the errors of its writer."""
        self._manager.wait_until_finished()

    def close(self) -> None:
        """Wait for the last save, and release Orbax's threads."""
        with self._staging or contextlib.nullcontext():
            self.wait()
            self._manager.close()
        if jax.process_index() == 0:
            finish_replacements(self.directory.parent)

    def _make_room_for(self, step: int) -> None:
        if step not in self._manager.all_steps():
            return
        if jax.process_index() == 0:
            set_aside_for_replacement(self.directory / str(step))
        meet("renamed checkpoint")
        if self._staging:
            self._manager.delete(step)
        self._manager.reload()

    def _remove_partial(self) -> None:
        # Orbax would remove them in the background, where only save() waits for it. That fails when a
        # second manager of the same directory removes them too.
        if self.directory.exists():
            for partial in self.directory.glob("*.orbax-checkpoint-tmp*"):
                partial.rmtree()

    def _complete(self) -> None:
        # Orbax calls this before it completes the checkpoint by renaming it. So every complete checkpoint has
        # digests.
        if jax.process_index() != 0:
            return
        step = str(self._saving)
        partial = next(path for path in self._local.iterdir() if path.name.split(".")[0] == step)
        write_digests(partial)
        if self._staging:
            self._staging.upload(partial, self._saving)


def write(workdir: str | os.PathLike, variables: Mapping[str, Any], description: Description) -> str:
    """Write the only checkpoint of a workdir, for weights that were imported.

    Args:
      workdir: the directory that gets `checkpoints/STEP`.
      variables: "params" and "batch_stats".
      description: the description of the checkpoint.

    Returns:
      The directory of the checkpoint.

    Raises:
      UserError: if the workdir cannot be made.
    """
    try:
        make_directory(resolve_path(workdir))
    except OSError as error:
        raise UserError(f"Cannot make {workdir}: {error.strerror}; choose another directory.") from error
    checkpoints = Checkpoints(workdir, keep_last=1, keep_best=0)
    weights = {
        "params": variables["params"],
        "batch_stats": variables.get("batch_stats", {}),
        "averaged_params": {},
        "averaged_batch_stats": {},
    }
    step = np.int32(description.step)
    checkpoints.save(description.step, weights=weights, optimizer={"step": step}, description=description)
    checkpoints.close()
    return checkpoints.path(description.step)


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
        weights = jax.tree.map(np.asarray, _restore_item(checkpoint, "weights"))
    else:
        variables = {"params": like["params"], "batch_stats": like.get("batch_stats", {})}
        averages = {f"averaged_{name}": tree for name, tree in variables.items()}
        recorded = _read_metadata(checkpoint)
        tree = _without_absent_averages(variables | averages, recorded)
        _check_network(checkpoint, recorded, tree)
        weights = _restore_item(checkpoint, "weights", tree)
    chosen = evaluation_variables(weights)
    if weights.get("averaged_params") and chosen["params"] is weights["params"]:
        logger.warning(
            f"{checkpoint} has averaged weights without the batch statistics that belong to them, because "
            "its run was preempted or an earlier version wrote it; the weights of its last step are used"
        )
    return chosen


def _read_metadata(checkpoint: epath.Path) -> dict[str, Any]:
    """Return the tree of the item `weights`, with the metadata of each array."""
    with _reader() as reader:
        tree: dict[str, Any] = reader.metadata(checkpoint).item_metadata["weights"].tree
    return tree


def _without_absent_averages(weights: Mapping[str, Any], recorded: Mapping[str, Any]) -> dict[str, Any]:
    """Return `weights` without the averages that a checkpoint does not have.

    A run may not have averaged, and formats 1 and 2 and preempted runs have no batch statistics of averaged
    parameters.
    """
    return {
        name: {} if name.startswith("averaged_") and not recorded[name] else tree
        for name, tree in weights.items()
        if name in recorded or not name.startswith("averaged_")
    }


def _check_network(checkpoint: epath.Path, recorded: dict[str, Any], weights: dict[str, Any]) -> None:
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


def _restore_item(checkpoint: epath.Path, item: str, like: Any = None) -> Any:
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
    return ocp.Checkpointer(ocp.CompositeCheckpointHandler(**arrays, **texts))


def _on_host(tree: Any) -> Any:
    # Orbax slices replicated arrays over the devices, which compiles hundreds of programs: half a minute
    # on eight devices. The copy is needed anyway, because the training step donates its state.
    return jax.tree.map(lambda leaf: np.array(jax.device_get(leaf)), tree)
