"""Checkpoints that explain themselves; the only module that knows Orbax.

A checkpoint is one directory, `WORKDIR/checkpoints/STEP`, written atomically:

    weights/          parameters, batch statistics, averaged parameters
    optimizer/        the optimizer's state and the step
    description/      resolved config, class names, metrics, versions, as JSON
    metrics/          figures of the evaluation at that step, where there was one
    digests.json      SHA-256 of every file above
"""

import dataclasses
import hashlib
import importlib.metadata
import json
import pathlib
import tempfile
from collections.abc import Mapping, Sequence
from typing import Any

import fsspec
import jax
import numpy as np
import orbax.checkpoint as ocp
from etils import epath
from orbax.checkpoint.checkpoint_managers import AnyPreservationPolicy, BestN, LatestN

from flax_googlenet.errors import UserError

DIRECTORY = "checkpoints"
DIGESTS = "digests.json"
FORMAT = 2

Shapes = dict[tuple[str, ...], tuple[int, ...]]  # of arrays, by the names on their path


@dataclasses.dataclass(frozen=True)
class Description:
    """What a checkpoint says of itself.

    Attributes:
      step: number of updates made.
      config: the resolved config, plain.
      class_names: in the order of the logits.
      history: the records of metrics.jsonl so far.
      result: the run's result line if it was complete, else {}.
      origin: of weights that come from outside, or that began as such: "source", "file",
        "sha256", "licence" and the like.
      versions: of the packages that wrote it.
    """

    step: int
    config: Mapping[str, Any]
    class_names: tuple[str, ...]
    history: Sequence[Mapping[str, float]] = ()
    result: Mapping[str, Any] = dataclasses.field(default_factory=dict)
    origin: Mapping[str, str] = dataclasses.field(default_factory=dict)
    versions: Mapping[str, str] = dataclasses.field(default_factory=dict)

    def to_json(self) -> dict[str, Any]:
        """The content of the item `description`."""
        versions = {
            name: importlib.metadata.version(name) for name in ("jax", "flax", "optax", "orbax-checkpoint")
        }
        fields = dataclasses.asdict(dataclasses.replace(self, versions=versions))
        return {"format": FORMAT, **fields}


class Checkpoints:
    """The checkpoints of one run: saved in the background, the last and best ones kept."""

    def __init__(self, workdir: str, *, keep_last: int, keep_best: int) -> None:
        """Open, or make, `workdir/checkpoints`; what a killed run left half-written is removed.

        Args:
          workdir: directory of the run.
          keep_last: how many of the latest checkpoints stay.
          keep_best: how many of those with the highest top1 stay besides.
        """
        self.directory = epath.Path(workdir).expanduser().absolute() / DIRECTORY

        def by_top1(metrics: Mapping[str, float]) -> float:
            return metrics["top1"]

        self._remove_half_written()
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
        step: int | None = self._manager.latest_step()
        return step

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
        _check_network(checkpoint, _recorded_shapes(checkpoint), weights)
        restored = _restore_item(checkpoint, "weights", weights)
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
        if jax.process_index() == 0 and self.directory.exists():
            for each in self.directory.glob("*.orbax-checkpoint-tmp*"):
                each.rmtree()

    def _write_digests(self) -> None:
        # Orbax calls this between the last file and the renaming that completes the
        # checkpoint, so the digests are part of what is committed.
        if jax.process_index() != 0:
            return
        step = next(each for each in self.directory.iterdir() if each.name.split(".")[0] == str(self._saving))
        items = [each for each in step.iterdir() if each.is_dir()]
        digests = {str(path.relative_to(step)): sha256(path) for item in items for path in _files(item)}
        (step / DIGESTS).write_text(json.dumps(digests, indent=1, sort_keys=True))


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
        raise UserError(f"Cannot make {workdir}: {error.strerror}; choose another --out.") from error
    checkpoints = Checkpoints(workdir, keep_last=1, keep_best=0)
    weights = {
        "params": variables["params"],
        "batch_stats": variables.get("batch_stats", {}),
        "averaged_params": {},
    }
    step = np.int32(description.step)
    checkpoints.save(description.step, weights=weights, optimizer={"step": step}, description=description)
    checkpoints.close()
    return checkpoints.path(description.step)


def find(path: str) -> epath.Path:
    """Directory of the checkpoint that a path means.

    Args:
      path: a checkpoint; or a run's workdir, or the `checkpoints` in it, for the last
        one there. `gs://` and the other addresses that fsspec knows are copied to a
        temporary directory first.

    Raises:
      UserError: there is no checkpoint.
    """
    try:
        files, root = fsspec.core.url_to_fs(str(path))
        checkpoint = _locate(files, root)
        if checkpoint and "://" in str(path):
            local = pathlib.Path(tempfile.mkdtemp(prefix="flax_googlenet-")) / checkpoint.rsplit("/", 1)[-1]
            files.get(checkpoint, str(local), recursive=True)
            return epath.Path(local)
    except (ImportError, OSError, ValueError) as error:
        raise UserError(f"Could not read {path}: {error}; gs:// needs the package gcsfs.") from error
    if checkpoint is None:
        raise UserError(
            f"There is no checkpoint in {path}; give a run's --workdir, or WORKDIR/{DIRECTORY}/STEP."
        )
    return epath.Path(checkpoint)


def find_latest(workdir: str) -> epath.Path | None:
    """Directory of the last complete checkpoint of a run, if there is one."""
    located = _locate(fsspec.filesystem("file"), f"{workdir}/{DIRECTORY}")
    return epath.Path(located) if located else None


def _locate(files: fsspec.AbstractFileSystem, root: str) -> str | None:
    for directory in (root, f"{root}/{DIRECTORY}"):
        if files.exists(f"{directory}/description") and files.exists(f"{directory}/weights"):
            return directory.rstrip("/")
        if files.isdir(directory):
            names = [each.rstrip("/").rsplit("/", 1)[-1] for each in files.ls(directory, detail=False)]
            steps = [name for name in names if name.isdigit()]
            if steps:
                return f"{directory}/{max(steps, key=int)}"
    return None


def describe(checkpoint: epath.Path) -> Description:
    """What the checkpoint in a directory (of `find`) says of itself.

    Raises:
      UserError: it says nothing that can be read.
    """
    try:
        fields = json.loads((checkpoint / "description" / "metadata").read_text())
        written = fields.pop("format")
        if written == 1:
            fields["config"]["model"] = _model_of_format_1(fields["config"]["model"])
        description = Description(**{**fields, "class_names": tuple(fields["class_names"])})
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise UserError(
            f"{checkpoint} is not a checkpoint of flax_googlenet: its description cannot be read."
        ) from error
    if written > FORMAT:
        raise UserError(
            f"{checkpoint} has format {written}, newer than {FORMAT}, the last that this version reads; "
            "update flax_googlenet."
        )
    return description


def _model_of_format_1(model: Mapping[str, Any]) -> dict[str, Any]:
    """The section as this version names its keys."""
    kept = {key: value for key, value in model.items() if key not in ("name", "dimension_reduction")}
    reduces = dict.fromkeys(("reduce3x3", "reduce5x5", "project_pool"), model["dimension_reduction"])
    return {**kept, **reduces, "aux_heads": 2 if model["aux_heads"] else 0}


def load_weights(checkpoint: epath.Path, like: Mapping[str, Any]) -> dict[str, Any]:
    """The variables to evaluate with: averaged parameters where there are any.

    Args:
      checkpoint: a directory of `find`, written on any number of devices.
      like: the model's variables as shapes with shardings.

    Raises:
      UserError: a file is damaged, or the checkpoint is of another network.
    """
    verify_digests(checkpoint)
    recorded = _recorded_shapes(checkpoint)
    averaged = any(path[0] == "averaged_params" for path in recorded)
    tree = {
        "params": like["params"],
        "batch_stats": like.get("batch_stats", {}),
        "averaged_params": like["params"] if averaged else {},
    }
    _check_network(checkpoint, recorded, tree)
    weights = _restore_item(checkpoint, "weights", tree)
    return {"params": weights["averaged_params"] or weights["params"], "batch_stats": weights["batch_stats"]}


def read_weights(checkpoint: epath.Path) -> dict[str, Any]:
    """The variables as `load_weights` gives them, of whatever network, as arrays of the host.

    Args:
      checkpoint: a directory of `find`.

    Raises:
      UserError: a file is damaged.
    """
    verify_digests(checkpoint)
    with _reader() as reader:
        weights = reader.restore(checkpoint, args=ocp.args.Composite(weights=ocp.args.StandardRestore()))[
            "weights"
        ]
    chosen = {
        "params": weights.get("averaged_params") or weights["params"],
        "batch_stats": weights.get("batch_stats") or {},
    }
    on_host: dict[str, Any] = jax.tree.map(np.asarray, chosen)
    return on_host


def _recorded_shapes(checkpoint: epath.Path) -> Shapes:
    with _reader() as reader:
        return _shapes(reader.metadata(checkpoint).item_metadata["weights"].tree)


def _shapes(weights: Any) -> Shapes:
    leaves = jax.tree_util.tree_flatten_with_path(weights, is_leaf=lambda x: hasattr(x, "shape"))[0]
    return {tuple(part.key for part in path): tuple(leaf.shape) for path, leaf in leaves}


def _check_network(checkpoint: epath.Path, recorded: Shapes, weights: Any) -> None:
    wanted = _shapes(weights)
    for path in sorted(recorded.keys() | wanted.keys()):
        if recorded.get(path) != wanted.get(path):
            raise UserError(
                f"{checkpoint} is of another network: {'/'.join(path)} is "
                f"{recorded.get(path, 'missing')} there and {wanted.get(path, 'missing')} here."
            )


def _restore_item(checkpoint: epath.Path, item: str, like: Any) -> Any:
    def shape_of(leaf: Any) -> jax.ShapeDtypeStruct:
        return jax.ShapeDtypeStruct(leaf.shape, leaf.dtype, sharding=leaf.sharding)

    arguments = ocp.args.Composite(**{item: ocp.args.StandardRestore(jax.tree.map(shape_of, like))})
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


def verify_digests(checkpoint: epath.Path) -> None:
    """Compare every file with its digest: Orbax's arrays carry no checksum.

    Raises:
      UserError: a file is missing or changed; it is named.
    """
    try:
        digests = json.loads((checkpoint / DIGESTS).read_text())
    except (OSError, ValueError) as error:
        raise UserError(
            f"{checkpoint / DIGESTS} cannot be read, so the checkpoint cannot be trusted; use another one."
        ) from error
    for name, digest in digests.items():
        path = checkpoint / name
        if not path.exists() or sha256(path) != digest:
            raise UserError(
                f"{path} is damaged: it is not the file that was saved; use another checkpoint, or delete "
                f"{checkpoint} to go on from the one before."
            )


def _files(directory: epath.Path) -> list[epath.Path]:
    found = []
    for each in directory.iterdir():
        found += _files(each) if each.is_dir() else [each]
    return found


def sha256(path: epath.PathLike) -> str:
    """SHA-256 of a file, in hexadecimal digits."""
    digest = hashlib.sha256()
    with epath.Path(path).open("rb") as file:
        while block := file.read(1 << 20):
            digest.update(block)
    return digest.hexdigest()
