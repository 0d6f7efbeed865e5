"""Checkpoints that explain themselves.

A checkpoint is one directory, `WORKDIR/checkpoints/STEP`, written atomically:

    weights/          parameters, batch statistics, and the averages of both
    optimizer/        the optimizer's state and the step
    description/      resolved config, class names, data set, metrics, versions, as JSON
    metrics/          figures of the evaluation at that step, where there was one
    digests.json      SHA-256 of every file above
"""

from flax_googlenet.checkpoints.description import FORMAT, Description, describe
from flax_googlenet.checkpoints.integrity import sha256, verify_digests
from flax_googlenet.checkpoints.locations import DIRECTORY, find, find_latest, opened
from flax_googlenet.checkpoints.manager import Checkpoints, evaluation_variables, read_weights, write

__all__ = [
    "DIRECTORY",
    "FORMAT",
    "Checkpoints",
    "Description",
    "describe",
    "evaluation_variables",
    "find",
    "find_latest",
    "opened",
    "read_weights",
    "sha256",
    "verify_digests",
    "write",
]
