"""Self-contained checkpoints.

A checkpoint is a directory, `WORKDIR/checkpoints/STEP`, that appears when it is complete:

    weights/          parameters, batch statistics, and the averages of both
    optimizer/        the optimizer's state and the step
    description/      resolved config, class names, data set, metrics and versions, as JSON
    metrics/          the figures of the evaluation at that step, if there was one
    digests.json      SHA-256 of every file above
"""

from flax_googlenet.checkpoints.arrays import evaluation_variables, read_weights
from flax_googlenet.checkpoints.description import FORMAT, Description, describe
from flax_googlenet.checkpoints.integrity import (
    EVALUATION_ITEMS,
    CorruptCheckpointError,
    sha256,
    verify_digests,
)
from flax_googlenet.checkpoints.inventory import (
    Entry,
    choose_to_remove,
    find_unsound,
    size_of,
    take_inventory,
)
from flax_googlenet.checkpoints.locations import (
    DIRECTORY,
    find,
    find_latest,
    finish_replacements,
    opened,
    remove,
)
from flax_googlenet.checkpoints.lock import WorkdirLock
from flax_googlenet.checkpoints.manager import Checkpoints, write
from flax_googlenet.checkpoints.soundness import Survey, last_described, set_aside, survey

__all__ = [
    "DIRECTORY",
    "EVALUATION_ITEMS",
    "FORMAT",
    "Checkpoints",
    "CorruptCheckpointError",
    "Description",
    "Entry",
    "Survey",
    "WorkdirLock",
    "choose_to_remove",
    "describe",
    "evaluation_variables",
    "find",
    "find_latest",
    "find_unsound",
    "finish_replacements",
    "last_described",
    "opened",
    "read_weights",
    "remove",
    "set_aside",
    "sha256",
    "size_of",
    "survey",
    "take_inventory",
    "verify_digests",
    "write",
]
