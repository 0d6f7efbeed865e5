"""The checkpoints of a run as a table, and the removal of those that are not needed."""

import dataclasses
import json
import os
from collections.abc import Sequence

from etils import epath

from flax_googlenet.checkpoints.integrity import files_of
from flax_googlenet.checkpoints.locations import (
    DIRECTORY,
    explaining_errors,
    is_complete,
    numbered,
    set_aside_earlier,
)
from flax_googlenet.checkpoints.soundness import why_corrupt
from flax_googlenet.errors import UserError
from flax_googlenet.paths import resolve_path


@dataclasses.dataclass(frozen=True)
class Entry:
    """A checkpoint of a run.

    Attributes:
      path: its directory.
      step: the number of updates made.
      size: of all its files, in bytes.
      reason: why it is corrupt, as a clause that names the file, or None if it is sound.
      top1: of the evaluation at this step, or None if there was none.
    """

    path: epath.Path
    step: int
    size: int
    reason: str | None
    top1: float | None

    @property
    def sound(self) -> bool:
        """Whether all files are as they were saved."""
        return self.reason is None

    def to_json(self) -> dict[str, int | float | bool | None]:
        """Return what a result line says about the checkpoint."""
        return {"step": self.step, "bytes": self.size, "sound": self.sound, "top1": self.top1}


def take_inventory(workdir: str | os.PathLike) -> list[Entry]:
    """Read and verify all checkpoints of a run.

    Args:
      workdir: the directory of the run.

    Returns:
      The checkpoints, in the order of their steps.

    Raises:
      UserError: if there is none.
    """
    root = resolve_path(workdir)
    with explaining_errors(root):
        entries = [_entry(path) for path in numbered(root / DIRECTORY)]
    if not entries:
        raise UserError(f"There is no checkpoint in {root}; give the workdir of a run.")
    return entries


def choose_to_remove(entries: Sequence[Entry], *, keep_last: int, keep_best: int) -> list[Entry]:
    """Choose the sound checkpoints that are neither among the last ones nor among the best ones.

    Args:
      entries: the checkpoints of a run, in the order of their steps.
      keep_last: the number of sound checkpoints to keep from the end.
      keep_best: the number of sound checkpoints with the highest top1 to keep in addition.

    Raises:
      UserError: if no sound checkpoint would be left.

    >>> figures = ((1, 0.9), (2, 0.5), (3, 0.7))
    >>> entries = [Entry(epath.Path(str(step)), step, 0, None, top1) for step, top1 in figures]
    >>> [entry.step for entry in choose_to_remove(entries, keep_last=1, keep_best=1)]
    [2]
    """
    sound = [entry for entry in entries if entry.sound]
    evaluated = [entry for entry in sound if entry.top1 is not None]
    best = sorted(evaluated, key=lambda entry: (entry.top1, entry.step), reverse=True)[:keep_best]
    kept = {entry.step for entry in (*best, *sound[max(len(sound) - keep_last, 0) :])}
    if sound and not kept:
        raise UserError(
            f"That would remove every sound checkpoint in {sound[0].path.parent}; keep at least the last one."
        )
    return [entry for entry in sound if entry.step not in kept]


def find_unsound(workdir: str | os.PathLike, entries: Sequence[Entry]) -> list[epath.Path]:
    """Return the corrupt checkpoints of a run, those that were set aside, and the partial ones.

    Args:
      workdir: the directory of the run, which no process may be writing to.
      entries: its checkpoints.
    """
    directory = resolve_path(workdir) / DIRECTORY
    partial = sorted(directory.glob("*.orbax-checkpoint-tmp*"))
    return [*(entry.path for entry in entries if not entry.sound), *set_aside_earlier(directory), *partial]


def size_of(path: epath.Path) -> int:
    """Return the size of all files in a directory, in bytes."""
    return sum(file.stat().length for file in files_of(path).values())


def _entry(path: epath.Path) -> Entry:
    reason = why_corrupt(path) if is_complete(path) else f"{path} is incomplete"
    metrics = path / "metrics" / "metrics"
    top1 = None
    if reason is None and metrics.exists():
        top1 = json.loads(metrics.read_text()).get("top1")
    return Entry(path, int(path.name), size_of(path), reason, top1)
