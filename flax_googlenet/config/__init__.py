"""The config of an experiment: its keys, what each accepts, and how a whole one is put together."""

from flax_googlenet.config.resolution import (
    DEFAULTS,
    HOST_PREPROCESSING,
    OPERATIONAL_KEYS,
    PREPROCESSING,
    first_difference,
    flatten,
    resolve,
    to_json_dict,
    with_num_classes,
)

__all__ = [
    "DEFAULTS",
    "HOST_PREPROCESSING",
    "OPERATIONAL_KEYS",
    "PREPROCESSING",
    "first_difference",
    "flatten",
    "resolve",
    "to_json_dict",
    "with_num_classes",
]
