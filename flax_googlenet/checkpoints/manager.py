"""Saving the checkpoints of a run, and restoring its state from them."""

import contextlib
import errno
import logging
import os
import time
from collections.abc import Mapping
from typing import Any

import jax
import numpy as np
import orbax.checkpoint as ocp
from orbax.checkpoint.checkpoint_managers import AnyPreservationPolicy, BestN, LatestN

from flax_googlenet.checkpoints.arrays import (
    check_network,
    read_metadata,
    restore_item,
    without_absent_averages,
)
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
from flax_googlenet.disk import is_full, lack_of_space, megabytes, require_space, write_error
from flax_googlenet.distributed import meet, process_index
from flax_googlenet.errors import UserError
from flax_googlenet.paths import is_remote, make_directory, resolve_path
from flax_googlenet.sharding import fetch_copies

logger = logging.getLogger(__name__)

# Seconds for the other processes to wait for the end of the last save.
_PATIENCE = 3600.0


class Checkpoints:
    """The checkpoints of one run. The last and best ones are kept.

    All processes of a run have the same arrays, so that only the first one saves. If that fails, the others
    need not know.
    """

    def __init__(
        self,
        workdir: str | os.PathLike,
        *,
        keep_last: int,
        keep_best: int,
        on_full_disk: str = "stop",
        in_background: bool = True,
    ) -> None:
        """Open `WORKDIR/checkpoints`, and make it if it is missing.

        Partial checkpoints left by a killed run are removed, and incomplete directories with the name of
        a checkpoint are set aside.

        Args:
          workdir: the directory of the run.
          keep_last: the number of latest checkpoints to keep.
          keep_best: the number of checkpoints with the highest top1 to keep in addition.
          on_full_disk: "stop", so that a save that fails for lack of space is an error; or "continue", so
            that it is a warning, unless it is the last one.
          in_background: whether `save` returns before the checkpoint is on disk.
        """
        self.directory = resolve_path(workdir) / DIRECTORY
        self._keep_last, self._keep_best, self._on_full_disk = keep_last, keep_best, on_full_disk
        self._in_background = in_background
        self._saving: int | None = None  # the step of a save that may not be complete
        self._size = 0  # of the arrays of a checkpoint, in bytes
        self._is_writer = process_index() == 0
        if self._is_writer:
            self._remove_partial()
            set_aside_incomplete(self.directory)
            self._manager = self._open_manager()

    def _open_manager(self) -> ocp.CheckpointManager:
        def by_top1(metrics: Mapping[str, float]) -> float:
            return metrics["top1"]

        make_directory(self.directory)
        self._staging = Staging(self.directory) if is_remote(self.directory) else None
        self._local = self._staging.directory if self._staging else self.directory
        keep_last, keep_best = self._keep_last, self._keep_best
        return ocp.CheckpointManager(
            self._local,
            item_names=ITEMS,
            options=ocp.CheckpointManagerOptions(
                create=False,  # Orbax does not create it for one process of many
                multiprocessing_options=ocp.options.MultiprocessingOptions(
                    primary_host=0, active_processes={0}, barrier_sync_key_prefix="first_process"
                ),
                preservation_policy=AnyPreservationPolicy(
                    [
                        LatestN(keep_last),
                        BestN(get_metric_fn=by_top1, n=keep_best, keep_checkpoints_without_metrics=False),
                    ]
                ),
                # Makes Orbax write the metrics, so that a resumed run knows the best checkpoints.
                best_fn=by_top1 if keep_best else None,
                async_options=ocp.AsyncOptions(
                    post_finalization_callback=self._complete,
                    # Or threads that wait for a directory go on for ten minutes after the disk was full.
                    create_directories_asynchronously=False,
                ),
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
        """Copy the arrays to the host and write them, by default in the background.

        A checkpoint of the same step, which a run that was preempted in an evaluation has left, is replaced.

        Args:
          step: the number of updates made.
          weights: the trees that `evaluation_variables` chooses from.
          optimizer: the optimizer's state and the step.
          description: the description of the checkpoint.
          metrics: the figures of the evaluation at this step, if there was one.

        Raises:
          UserError: if this save or the one before it cannot be written.
        """
        if not self._is_writer:
            return
        started = time.perf_counter()
        self.wait()
        # Orbax slices replicated arrays over the devices, which compiles hundreds of programs: half a minute
        # on eight devices.
        weights, optimizer = fetch_copies(weights), fetch_copies(optimizer)
        self._saving, self._size = step, sum(leaf.nbytes for leaf in jax.tree.leaves((weights, optimizer)))
        try:
            require_space(self._local, self._size)  # so that others on the same disk keep theirs
            self._make_room_for(step)
            self._manager.save(
                step,
                args=ocp.args.Composite(
                    weights=ocp.args.StandardSave(weights),
                    optimizer=ocp.args.StandardSave(optimizer),
                    description=ocp.args.JsonSave(description.to_json()),
                ),
                metrics=dict(metrics) if metrics else None,
            )
        except (OSError, ValueError) as error:
            self._recover(error)
            return
        if not self._in_background:
            logger.info(f"saving step {step}, {megabytes(self._size)}")
            self.wait()
            return
        seconds = time.perf_counter() - started
        logger.info(
            f"saving step {step}, {megabytes(self._size)}, in the background; training waited {seconds:.2f} s"
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
            recorded = read_metadata(checkpoint)
            weights = without_absent_averages(weights, recorded)
            check_network(checkpoint, recorded, weights)
            restored = {"averaged_batch_stats": {}, **restore_item(checkpoint, "weights", weights)}
            return restored, restore_item(checkpoint, "optimizer", optimizer)

    def wait(self) -> None:
        """Block until the last save is on disk.

        Raises:
          UserError: if it cannot be written.
        """
        if not self._is_writer:
            return
        try:
            self._manager.wait_until_finished()
        except (OSError, ValueError) as error:
            self._recover(error)
        self._saving = None

    def check(self) -> None:
        """Raise the error of the last save, if it has failed. A save that is not complete is not waited for.

        Raises:
          UserError: if it cannot be written.
        """
        if self._is_writer and self._saving is not None and not self._manager.is_saving_in_progress():
            self.wait()

    def complete(self, step: int) -> str:
        """Block until the last save of the run is on disk, in all processes.

        Args:
          step: the step of the save.

        Returns:
          The directory of the checkpoint.

        Raises:
          UserError: if it cannot be written.
        """
        self._on_full_disk = "stop"
        self.wait()
        if self._is_writer and self.latest_step != step:
            raise UserError(
                f"The disk was too full for the last checkpoint, {self.path(step)}; make room and start "
                "again, to go on from the one before it."
            )
        meet("last checkpoint", deadline=_PATIENCE)
        return self.path(step)

    def close(self) -> None:
        """Wait for the last save, and release Orbax's threads."""
        if self._is_writer:
            with self._staging or contextlib.nullcontext():
                self.wait()
                self._manager.close()
            finish_replacements(self.directory.parent)

    def _recover(self, error: Exception) -> None:
        """Remove what a failed save has left, and raise its error as a sentence, or warn of a full disk."""
        step, self._saving = self._saving, None
        self._manager.close()
        with contextlib.suppress(OSError):  # the disk may have become read-only
            self._remove_partial()
            finish_replacements(self.directory.parent)
        sentence = write_error(error, self._local, self._size)
        if sentence is None:
            raise error
        if not is_full(error) or self._on_full_disk != "continue":
            raise sentence from error
        self._manager = self._open_manager()
        logger.warning(
            f"{lack_of_space(self._local, self._size)}; step {step} is not saved, and training continues"
        )

    def _make_room_for(self, step: int) -> None:
        if step not in self._manager.all_steps():
            return
        set_aside_for_replacement(self.directory / str(step))
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
        assert self._saving is not None
        step = str(self._saving)
        partials = [path for path in self._local.iterdir() if path.name.split(".")[0] == step]
        if not partials:
            raise FileNotFoundError(errno.ENOENT, os.strerror(errno.ENOENT), self.path(self._saving))
        partial = partials[0]
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
