"""What a run leaves behind, as digests that are equal if and only if the bits are."""

import hashlib
import json
import pathlib
from collections.abc import Mapping
from typing import Any

import jax
import numpy as np
import orbax.checkpoint as ocp

# Figures about the time that a run took, which no two runs share.
TIMINGS = ("train/images_per_second", "train/data_wait", "train/goodput")
_TIMINGS_OF_RESULT = ("images_per_second", "goodput", "checkpoint")

_NAMES = {
    "params": "parameters",
    "batch_stats": "batch statistics",
    "averaged_params": "averaged parameters",
    "averaged_batch_stats": "averaged batch statistics",
    "opt_state": "optimizer state",
    "step": "step",
}


def digests(workdir: pathlib.Path, result: Mapping[str, Any]) -> dict[str, str]:
    """Return the SHA-256 of all that a complete run computed, by name.

    Args:
      workdir: the directory of the run.
      result: the result line of the command.
    """
    trees = read_trees(pathlib.Path(result["checkpoint"]))
    found = {name: _of_tree(trees[key]) for key, name in _NAMES.items()}
    lines = (workdir / "metrics.jsonl").read_text().splitlines()
    found["metrics"] = _of_json([without_timings(json.loads(line)) for line in lines])
    found["result"] = _of_json(
        {name: value for name, value in result.items() if name not in _TIMINGS_OF_RESULT}
    )
    return found


def read_trees(checkpoint: pathlib.Path) -> dict[str, Any]:
    """Return all arrays of a checkpoint: the parts of its weights and of its optimizer, by name."""
    trees: dict[str, Any] = {}
    with ocp.PyTreeCheckpointer() as checkpointer:
        for item in ("weights", "optimizer"):
            trees |= checkpointer.restore(checkpoint / item)
    return trees


def without_timings(record: Mapping[str, Any]) -> dict[str, Any]:
    """Return a record of metrics.jsonl without the figures that depend on the machine's load.

    >>> without_timings({"step": 1, "train/loss": 2.0, "train/images_per_second": 50.0})
    {'step': 1, 'train/loss': 2.0}
    """
    return {name: value for name, value in record.items() if name not in TIMINGS}


def _of_tree(tree: Any) -> str:
    digest = hashlib.sha256()
    leaves = {jax.tree_util.keystr(path): leaf for path, leaf in jax.tree_util.tree_leaves_with_path(tree)}
    for name, leaf in sorted(leaves.items()):
        array = np.asarray(leaf)
        digest.update(f"{name} {array.dtype} {array.shape}\n".encode() + array.tobytes())
    return digest.hexdigest()


def _of_json(value: Any) -> str:
    return hashlib.sha256(json.dumps(value, sort_keys=True).encode()).hexdigest()
