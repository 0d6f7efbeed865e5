"""The last sound checkpoint of a run, and what becomes of corrupt ones."""

import dataclasses
import logging
import os
from collections.abc import Collection

from etils import epath

from flax_googlenet.checkpoints.integrity import CorruptCheckpointError, verify_digests
from flax_googlenet.checkpoints.locations import (
    CORRUPT,
    DIRECTORY,
    explaining_errors,
    is_complete,
    is_partial,
    numbered,
    rename_aside,
    set_aside_earlier,
)
from flax_googlenet.errors import UserError
from flax_googlenet.paths import resolve_path

logger = logging.getLogger(__name__)


@dataclasses.dataclass(frozen=True)
class Survey:
    """The checkpoints of a run, as far as they have been verified.

    Attributes:
      latest: the directory of the last sound checkpoint, or None if the run has not saved any.
      corrupt: why a checkpoint is corrupt, by the name of its directory.
    """

    latest: epath.Path | None = None
    corrupt: dict[str, str] = dataclasses.field(default_factory=dict)


def survey(workdir: str | os.PathLike) -> Survey:
    """Verify the checkpoints of a run from the last one down to the first that is sound.

    Of the checkpoints before that one, only the metrics are verified: Orbax reads them to find the best.

    Args:
      workdir: the directory of the run.

    Raises:
      UserError: if the run has checkpoints and none is sound.
    """
    root = resolve_path(workdir)
    directory = root / DIRECTORY
    latest: epath.Path | None = None
    corrupt: dict[str, str] = {}
    lost: list[str] = []  # what else there is, if none is sound
    with explaining_errors(root):
        for checkpoint in reversed(numbered(directory)):
            if not is_complete(checkpoint):  # `set_aside_incomplete` renames it
                if not is_partial(checkpoint):
                    lost.append(f"{checkpoint} is incomplete")
                continue
            reason = why_corrupt(checkpoint, () if latest is None else ("metrics",))
            if reason:
                corrupt[checkpoint.name] = reason
            elif latest is None:
                latest = checkpoint
        lost += [f"{path} was set aside" for path in set_aside_earlier(directory)]
    if latest is None and (corrupt or lost):
        raise UserError(
            f"{root} has no sound checkpoint to resume from: {'; '.join([*corrupt.values(), *lost])}; put "
            f"back a copy of one, or remove {directory} to start over."
        )
    return Survey(latest, corrupt)


def why_corrupt(checkpoint: epath.Path, items: Collection[str] = ()) -> str | None:
    """Return why a checkpoint is corrupt, as a clause that names the file, or None if it is sound.

    Args:
      checkpoint: the directory of the checkpoint.
      items: as for `verify_digests`.
    """
    try:
        verify_digests(checkpoint, items)
    except CorruptCheckpointError as error:
        return error.reason
    return None


def set_aside(surveyed: Survey, workdir: str | os.PathLike) -> None:
    """Rename the corrupt checkpoints of a run, with a warning for each.

    Args:
      surveyed: what `survey` returned.
      workdir: the directory of the run.
    """
    for name, reason in surveyed.corrupt.items():
        aside = rename_aside(resolve_path(workdir) / DIRECTORY / name, CORRUPT)
        logger.warning(f"{reason}; {name} was renamed {aside.name} and is not used")


def last_described(workdir: str | os.PathLike) -> epath.Path | None:
    """Return the directory of the last checkpoint of a run whose description is sound, or None."""
    complete = filter(is_complete, reversed(numbered(resolve_path(workdir) / DIRECTORY)))
    return next((path for path in complete if why_corrupt(path, ("description",)) is None), None)
