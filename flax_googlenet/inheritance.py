"""An experiment's config, with what it takes over from the checkpoint that it starts from."""

from collections.abc import Mapping
from typing import Any

from ml_collections import FrozenConfigDict

from flax_googlenet import checkpoints
from flax_googlenet.config import PREPROCESSING, flatten, resolve
from flax_googlenet.config.schema import KEYS

# What a run does not take over from the network.
_OWN_MODEL_KEYS = frozenset({"num_classes", "dtype", "initializer", "initial_bias"})


def resolve_config(config: Mapping[str, Any], workdir: str = "") -> FrozenConfigDict:
    """Check a config and fill in every key that it leaves out.

    Values come from the checkpoint that `config["init_from"]` names, if it names one: its
    network and its preprocessing; else from the variant's row in `VARIANTS`; else from
    `flax_googlenet.config.DEFAULTS`. A resolved config stays as it is.

    Args:
      config: what an experiment sets, nested as `DEFAULTS`: a dictionary or a ConfigDict.
      workdir: of the run, which inherits from its own checkpoint once it has one.

    Raises:
      UserError: an unknown key, a value that it cannot have, or no checkpoint at `init_from`.

    >>> resolve_config({"model": {"variant": "bn"}}).model.normalization
    'batch'
    """
    init_from = str(config.get("init_from", ""))
    is_complete = KEYS.keys() <= flatten(config).keys()  # then there is nothing to take over
    return resolve(config, inherited(init_from, workdir) if init_from and not is_complete else None)


def inherited(init_from: str, workdir: str = "") -> dict[str, Any]:
    """What a config takes over from the checkpoint that its run starts from, for `config.resolve`.

    Args:
      init_from: a run's workdir or a checkpoint, as `checkpoints.opened` takes it.
      workdir: of the run itself. Once it has a checkpoint it inherits from that, and the
        one it began with may be gone.

    Raises:
      UserError: there is no checkpoint.
    """
    own = checkpoints.find_latest(workdir) if workdir else None
    with checkpoints.opened(str(own) if own else init_from) as checkpoint:
        config = checkpoints.describe(checkpoint).config
    return {
        "model": {key: value for key, value in config["model"].items() if key not in _OWN_MODEL_KEYS},
        "data": {key: value for key, value in config["data"].items() if key in PREPROCESSING},
    }
