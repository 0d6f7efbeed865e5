"""Self-contained checkpoints.

A checkpoint is a directory, `WORKDIR/checkpoints/STEP`, that appears when it is complete:

    weights/          parameters, batch statistics, and the averages of both
    optimizer/        the optimizer's state and the step
    description/      resolved config, class names, data set, metrics and versions, as JSON
    metrics/          the figures of the evaluation at that step, if there was one
    digests.json      SHA-256 of every file above
"""

from flax_googlenet.checkpoints.description import FORMAT, Description, describe
from flax_googlenet.checkpoints.integrity import EVALUATION_ITEMS, sha256, verify_digests
from flax_googlenet.checkpoints.locations import DIRECTORY, find, find_latest, finish_replacements, opened
from flax_googlenet.checkpoints.manager import Checkpoints, evaluation_variables, read_weights, write

__all__ = [
    "DIRECTORY",
    "EVALUATION_ITEMS",
    "FORMAT",
    "Checkpoints",
    "Description",
    "describe",
    "evaluation_variables",
    "find",
    "find_latest",
    "finish_replacements",
    "opened",
    "read_weights",
    "sha256",
    "verify_digests",
    "write",
]
