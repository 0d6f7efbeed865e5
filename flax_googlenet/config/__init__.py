"""The config of an experiment: the table of its keys, their checks and their resolution."""

from flax_googlenet.config.resolution import (
    HOST_PREPROCESSING,
    PREPROCESSING,
    first_difference,
    flatten,
    resolve,
    shared_settings,
    to_json_dict,
    with_num_classes,
)
from flax_googlenet.config.schema import DEFAULTS, OPERATIONAL_KEYS

__all__ = [
    "DEFAULTS",
    "HOST_PREPROCESSING",
    "OPERATIONAL_KEYS",
    "PREPROCESSING",
    "first_difference",
    "flatten",
    "resolve",
    "shared_settings",
    "to_json_dict",
    "with_num_classes",
]
