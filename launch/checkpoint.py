"""List, verify or prune the checkpoints of a run.

  python -m launch.checkpoint list --workdir=DIR
  python -m launch.checkpoint verify --workdir=DIR
  python -m launch.checkpoint prune --workdir=DIR --keep_last=1 --keep_best=1

All three compare every file with its digest. verify ends with status 1 if a checkpoint is corrupt. prune
removes the sound checkpoints that are neither among the last nor among the best ones; it refuses to remove
all of them, or to do so while the run trains. The result has step, bytes, sound and top1 of every checkpoint;
after prune, of those that are left.
"""

import sys
from collections.abc import Mapping, Sequence
from typing import Any

from absl import flags

from flax_googlenet.checkpoints import (
    Entry,
    WorkdirLock,
    choose_to_remove,
    find_unsound,
    remove,
    size_of,
    take_inventory,
)
from flax_googlenet.disk import megabytes
from flax_googlenet.errors import UserError, did_you_mean
from flax_googlenet.paths import resolve_path
from launch.common import command

_WORKDIR = flags.DEFINE_string("workdir", None, "Directory of the run, or its address.", required=True)
_KEEP_LAST = flags.DEFINE_integer(
    "keep_last", 1, "Number of latest checkpoints that prune keeps.", lower_bound=0
)
_KEEP_BEST = flags.DEFINE_integer(
    "keep_best", 1, "Number of checkpoints with the best top-1 accuracy that prune keeps.", lower_bound=0
)
_REMOVE_CORRUPT = flags.DEFINE_bool(
    "remove_corrupt",
    False,
    "Make prune remove corrupt and partial checkpoints too, and those that were set aside.",
)

_ACTIONS = ("list", "verify", "prune")


def main(arguments: Sequence[str]) -> dict[str, Any]:
    action = _action(arguments)
    if action == "prune":
        entries = _prune()
    else:
        entries = take_inventory(_WORKDIR.value)
        for entry in entries:
            print(_describe(entry), file=sys.stderr)
    return {"action": action, "checkpoints": [entry.to_json() for entry in entries]}


def exit_status(result: Mapping[str, Any]) -> int:
    """Return 1 after `verify` if a checkpoint is corrupt."""
    is_sound = all(checkpoint["sound"] for checkpoint in result["checkpoints"])
    return command.USER_ERROR if result["action"] == "verify" and not is_sound else 0


def _action(arguments: Sequence[str]) -> str:
    if not arguments:
        raise UserError("There is no action; write list, verify or prune after launch.checkpoint.")
    action, *rest = arguments
    command.refuse_arguments(rest)
    if action not in _ACTIONS:
        raise UserError(f'There is no action "{action}"; {did_you_mean(action, _ACTIONS)}')
    return action


def _prune() -> list[Entry]:
    lock = WorkdirLock(resolve_path(_WORKDIR.value))
    entries = take_inventory(_WORKDIR.value)
    lock.acquire()
    try:
        removed = [
            entry.path
            for entry in choose_to_remove(entries, keep_last=_KEEP_LAST.value, keep_best=_KEEP_BEST.value)
        ]
        if _REMOVE_CORRUPT.value:
            removed += find_unsound(_WORKDIR.value, entries)
        for path in removed:
            print(f"removing {path}, {megabytes(size_of(path))}", file=sys.stderr)
            remove(path)
    finally:
        lock.release()
    return [entry for entry in entries if entry.path not in removed]


def _describe(entry: Entry) -> str:
    top1 = "" if entry.top1 is None else f", top1 {entry.top1:.4f}"
    state = "sound" if entry.reason is None else f"corrupt: {entry.reason}"
    return f"step {entry.step}: {megabytes(entry.size)}{top1}, {state}"


if __name__ == "__main__":
    command.run(main, exit_status=exit_status)
