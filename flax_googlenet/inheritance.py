"""Inheritance of config keys from the checkpoint that a run starts from."""

import os
from collections.abc import Mapping
from typing import Any

from ml_collections import FrozenConfigDict

from flax_googlenet import checkpoints
from flax_googlenet.config import PREPROCESSING, flatten, resolve
from flax_googlenet.config.schema import KEYS

# Keys of the section `model` that are not inherited.
_OWN_MODEL_KEYS = frozenset({"num_classes", "remat", "dtype", "initializer", "initial_bias"})


def resolve_config(config: Mapping[str, Any], workdir: str | os.PathLike = "") -> FrozenConfigDict:
    """Check a config and fill in the keys that it leaves out.

    The network and the preprocessing come from the checkpoint at `config["init_from"]`, if it is set. Other
    values come from the variant's row in `VARIANTS`, or else from `flax_googlenet.config.DEFAULTS`. A
    resolved config is returned unchanged.

    Args:
      config: the keys that an experiment sets, nested as in `DEFAULTS`; a dictionary or a ConfigDict.
      workdir: the directory of the run. Once it has a checkpoint, the config inherits from that one.

    Raises:
      UserError: if a key is unknown, a value is not allowed, or there is no checkpoint at `init_from`.

    >>> resolve_config({"model": {"variant": "bn"}}).model.normalization
    'batch'
    """
    init_from = str(config.get("init_from", ""))
    is_complete = KEYS.keys() <= flatten(config).keys()
    return resolve(config, inherited(init_from, workdir) if init_from and not is_complete else None)


def inherited(init_from: str, workdir: str | os.PathLike = "") -> dict[str, Any]:
    """Return the keys that a config inherits from a checkpoint, for `config.resolve`.

    Args:
      init_from: the path of the checkpoint, as `checkpoints.opened` takes it.
      workdir: the directory of the run. Once it has a checkpoint, the config inherits from that one, so
        that the run can be resumed after the checkpoint at `init_from` is deleted.

    Raises:
      UserError: if there is no checkpoint.
    """
    latest = checkpoints.last_described(workdir) if workdir else None
    with checkpoints.opened(latest or init_from, items=("description",)) as checkpoint:
        config = checkpoints.describe(checkpoint).config
    return {
        "model": {key: value for key, value in config["model"].items() if key not in _OWN_MODEL_KEYS},
        "data": {key: value for key, value in config["data"].items() if key in PREPROCESSING},
    }
