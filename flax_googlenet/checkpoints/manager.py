"""Writing and reading the arrays of checkpoints; the only module that knows Orbax."""

import logging
from collections.abc import Mapping
from typing import Any

import jax
import numpy as np
import orbax.checkpoint as ocp
from etils import epath
from orbax.checkpoint.checkpoint_managers import AnyPreservationPolicy, BestN, LatestN

from flax_googlenet.checkpoints.description import Description
from flax_googlenet.checkpoints.integrity import verify_digests, write_digests
from flax_googlenet.checkpoints.locations import DIRECTORY, find_latest, set_aside_incomplete
from flax_googlenet.errors import UserError

logger = logging.getLogger(__name__)


Shapes = dict[tuple[str, ...], tuple[int, ...]]  # of arrays, by the names on their path


def evaluation_variables(weights: Mapping[str, Any]) -> dict[str, Any]:
    """Return the variables to evaluate with: the averaged ones, if both halves of them are there.

    Averaged parameters have batch statistics of their own. Without these, which formats 1 and
    2 did not keep, the parameters and statistics of the last step are what fits together.

    Args:
      weights: "params" and "batch_stats", and "averaged_params" and "averaged_batch_stats"
        where the run averages; an empty or missing tree where there is none.
    """
    statistics = weights.get("batch_stats") or {}
    averaged, averaged_statistics = (
        weights.get(name) or {} for name in ("averaged_params", "averaged_batch_stats")
    )
    if averaged and bool(averaged_statistics) == bool(statistics):
        return {"params": averaged, "batch_stats": averaged_statistics}
    return {"params": weights["params"], "batch_stats": statistics}


class Checkpoints:
    """The checkpoints of one run: saved in the background, the last and best ones kept."""

    def __init__(self, workdir: str, *, keep_last: int, keep_best: int) -> None:
        """Open, or make, `workdir/checkpoints`.

        What a killed run left half-written is removed, and what only has the name of a
        checkpoint is set aside.

        Args:
          workdir: directory of the run.
          keep_last: how many of the latest checkpoints stay.
          keep_best: how many of those with the highest top1 stay besides.
        """
        self.directory = epath.Path(workdir).expanduser().absolute() / DIRECTORY

        def by_top1(metrics: Mapping[str, float]) -> float:
            return metrics["top1"]

        if jax.process_index() == 0:
            self._remove_half_written()
            set_aside_incomplete(self.directory)
        self._saving = 0
        self._manager = ocp.CheckpointManager(
            self.directory,
            item_names=("weights", "optimizer", "description"),
            options=ocp.CheckpointManagerOptions(
                preservation_policy=AnyPreservationPolicy(
                    [
                        LatestN(keep_last),
                        BestN(get_metric_fn=by_top1, n=keep_best, keep_checkpoints_without_metrics=False),
                    ]
                ),
                # Has the metrics written, so that the best are known after a restart.
                best_fn=by_top1 if keep_best else None,
                async_options=ocp.AsyncOptions(post_finalization_callback=self._write_digests),
            ),
        )

    @property
    def latest_step(self) -> int | None:
        """Step of the last complete checkpoint."""
        latest = find_latest(str(self.directory.parent))
        return None if latest is None else int(latest.name)

    def path(self, step: int) -> str:
        """Directory of the checkpoint of a step."""
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
        """Copy the arrays to the host and write them in the background."""
        self.wait()
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
        """The arrays of a step.

        Args:
          step: of a complete checkpoint.
          weights, optimizer: the same trees, of arrays or of shapes with shardings; they
            say where each array goes.

        Raises:
          UserError: a file is damaged, or the checkpoint is of another network.
        """
        checkpoint = self.directory / str(step)
        verify_digests(checkpoint)
        recorded = _recorded(checkpoint)
        weights = _as_recorded(weights, recorded)
        _check_network(checkpoint, recorded, weights)
        restored = {"averaged_batch_stats": {}, **_restore_item(checkpoint, "weights", weights)}
        return restored, _restore_item(checkpoint, "optimizer", optimizer)

    def wait(self) -> None:
        """Until the last save is complete on disk. Errors of the writer are raised here."""
        self._manager.wait_until_finished()

    def close(self) -> None:
        """Finish writing and let go."""
        self.wait()
        self._manager.close()

    def _remove_half_written(self) -> None:
        # Orbax's own clearing up goes on in the background and is waited for by save()
        # alone, so that it fails if whoever opens the directory next clears up as well.
        if self.directory.exists():
            for each in self.directory.glob("*.orbax-checkpoint-tmp*"):
                each.rmtree()

    def _write_digests(self) -> None:
        # Orbax calls this between the last file and the renaming that completes the
        # checkpoint, so the digests are part of what is committed.
        if jax.process_index() != 0:
            return
        saving = str(self._saving)
        write_digests(next(entry for entry in self.directory.iterdir() if entry.name.split(".")[0] == saving))


def write(workdir: str, variables: Mapping[str, Any], description: Description) -> str:
    """Write the one checkpoint of a directory, for weights that no run of ours made.

    Args:
      workdir: gets `checkpoints/STEP`.
      variables: "params" and "batch_stats".
      description: of them.

    Returns:
      The checkpoint's directory.

    Raises:
      UserError: the directory cannot be made.
    """
    try:
        epath.Path(workdir).expanduser().mkdir(parents=True, exist_ok=True)
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
    """Read the variables to evaluate with, see `evaluation_variables`.

    Args:
      checkpoint: a directory of `find`, written on any number of devices.
      like: the model's variables as shapes with shardings, which say where each array goes;
        None for arrays of the host, of whatever network it is.

    Raises:
      UserError: a file is damaged, or the checkpoint is of another network than `like`.
    """
    verify_digests(checkpoint)
    recorded = _recorded(checkpoint)
    if like is None:
        weights = jax.tree.map(np.asarray, _restore_item(checkpoint, "weights"))
    else:
        own = {"params": like["params"], "batch_stats": like.get("batch_stats", {})}
        averages = {f"averaged_{name}": tree for name, tree in own.items()}
        tree = _as_recorded(own | averages, recorded)
        _check_network(checkpoint, recorded, tree)
        weights = _restore_item(checkpoint, "weights", tree)
    variables = evaluation_variables(weights)
    if weights.get("averaged_params") and variables["params"] is weights["params"]:
        logger.warning(
            f"{checkpoint} has averaged weights without the batch statistics that belong to them, as "
            "former versions wrote it; the weights of its last step are used."
        )
    return variables


def _recorded(checkpoint: epath.Path) -> dict[str, Any]:
    """Return the metadata of the arrays of `weights`, nested as they are."""
    with _reader() as reader:
        tree: dict[str, Any] = reader.metadata(checkpoint).item_metadata["weights"].tree
    return tree


def _as_recorded(weights: Mapping[str, Any], recorded: Mapping[str, Any]) -> dict[str, Any]:
    """Return `weights` without the averages that a checkpoint does not have.

    A run without averaging has none; formats 1 and 2 have no statistics of the averaged
    parameters.
    """
    return {
        name: {} if name.startswith("averaged_") and not recorded[name] else tree
        for name, tree in weights.items()
        if name in recorded or not name.startswith("averaged_")
    }


def _shapes(weights: Any) -> Shapes:
    leaves = jax.tree_util.tree_flatten_with_path(weights, is_leaf=lambda x: hasattr(x, "shape"))[0]
    return {tuple(part.key for part in path): tuple(leaf.shape) for path, leaf in leaves}


def _check_network(checkpoint: epath.Path, recorded: Mapping[str, Any], weights: Any) -> None:
    found, wanted = _shapes(recorded), _shapes(weights)
    for path in sorted(found.keys() | wanted.keys()):
        if found.get(path) != wanted.get(path):
            raise UserError(
                f"{checkpoint} is of another network: {'/'.join(path)} is "
                f"{found.get(path, 'missing')} there and {wanted.get(path, 'missing')} here."
            )


def _restore_item(checkpoint: epath.Path, item: str, like: Any = None) -> Any:
    def shape_of(leaf: Any) -> jax.ShapeDtypeStruct:
        return jax.ShapeDtypeStruct(leaf.shape, leaf.dtype, sharding=leaf.sharding)

    wanted = (jax.tree.map(shape_of, like),) if like is not None else ()
    arguments = ocp.args.Composite(**{item: ocp.args.StandardRestore(*wanted)})
    with _reader() as reader:
        return reader.restore(checkpoint, args=arguments)[item]


def _reader() -> ocp.Checkpointer:
    # Orbax warns of every item that it finds and does not know how to read.
    arrays = {name: ocp.StandardCheckpointHandler() for name in ("weights", "optimizer")}
    texts = {name: ocp.JsonCheckpointHandler() for name in ("description", "metrics")}
    return ocp.Checkpointer(ocp.CompositeCheckpointHandler(**arrays, **texts))


def _on_host(tree: Any) -> Any:
    # Given replicated device arrays, Orbax slices each over the devices, which compiles
    # hundreds of programs: half a minute on eight devices. The copy is needed anyway,
    # for the step donates its state.
    return jax.tree.map(lambda leaf: np.array(jax.device_get(leaf)), tree)
