"""Resolution of a config: checks, defaults and comparison.

A file in `configs/` sets the keys of its experiment. `resolve` checks them against the
table in `schema.py`, fills in the other keys from the variant's row in `VARIANTS` and from
`DEFAULTS`, and freezes the result. A checkpoint records the resolved config.
"""

import json
from collections.abc import Mapping
from typing import Any

from ml_collections import ConfigDict, FrozenConfigDict

from flax_googlenet.config.names import unknown_key
from flax_googlenet.config.schema import DEFAULTS, KEYS, OPERATIONAL_KEYS
from flax_googlenet.errors import UserError
from flax_googlenet.table import CONFIGURATION_D, TABLE_1, googlenet_rows, least_image_size
from flax_googlenet.variants import VARIANTS, VGG16_KEYS

# Keys of the section `data` that weights depend on: preprocessing on the host, and all preprocessing.
HOST_PREPROCESSING = ("image_size", "resize", "stretch", "interpolation")
PREPROCESSING = (*HOST_PREPROCESSING, "mean", "std", "channel_order")

# Keys that may differ between the processes of a run, since batches do not depend on them.
_KEYS_OF_A_HOST = ("data.path", "data.workers", "data.prefetch")


def resolve(config: Mapping[str, Any], inherited: Mapping[str, Any] | None = None) -> FrozenConfigDict:
    """Check a config and fill in the defaults.

    The value of a key comes from the first of these that sets it: `config`; `inherited`,
    unless `config` changes the variant; the variant's row in `VARIANTS`; `DEFAULTS`.

    Args:
      config: the keys that an experiment sets, nested like `DEFAULTS`.
      inherited: the keys to inherit from the checkpoint that the run starts from.

    Returns:
      The value of every key of `DEFAULTS`, frozen.

    Raises:
      UserError: if a key is unknown or does not accept its value.

    >>> resolve({"optimizer": {"learning_rate": 1}}).optimizer.learning_rate
    1.0
    >>> resolve({"model": {"variant": "torchvision"}}).model.third_kernel
    3
    >>> resolve({"optimiser": {}})
    Traceback (most recent call last):
    flax_googlenet.errors.UserError: The config has no key "optimiser"; did you mean "optimizer"?
    """
    settings = config.to_dict() if isinstance(config, ConfigDict) else config
    with_inherited = _merge(DEFAULTS, inherited or {})
    variant = _merge(with_inherited, settings)["model"]["variant"]
    resolved = _merge(DEFAULTS, VARIANTS[variant])
    if inherited and variant == with_inherited["model"]["variant"]:
        resolved = _merge(resolved, inherited)
    resolved = _merge(resolved, settings)
    _check_mixing(resolved)
    if variant == "vgg16":
        _check_keys_of_vgg16(resolved["model"])
    _check_single_head(resolved["model"])
    _check_optimizer(resolved["optimizer"])
    _check_image_size(resolved)
    return FrozenConfigDict(resolved)


def _check_mixing(resolved: Mapping[str, Any]) -> None:
    images = resolved["batch_size"] // resolved["optimizer"]["accumulate"]
    for key in ("mixup", "cutmix"):
        if resolved["data"][key] and images < 2:
            raise UserError(
                f"config.data.{key} mixes images of one batch or part of a batch, whose size is {images}; "
                "raise config.batch_size or lower config.optimizer.accumulate."
            )


def _check_single_head(model: Mapping[str, Any]) -> None:
    count, single = model["aux_heads"], model["single_aux_head"]
    default = DEFAULTS["model"]["single_aux_head"]
    if count != 1 and single != default:
        raise UserError(
            f'config.model.single_aux_head is "{single}", which has no effect with {count} auxiliary heads; '
            f'set config.model.aux_heads to 1, or single_aux_head to "{default}".'
        )


def _check_optimizer(optimizer: Mapping[str, Any]) -> None:
    name = optimizer["name"]
    for key in ("momentum", "nesterov"):
        if name != "sgd" and optimizer[key] != DEFAULTS["optimizer"][key]:
            raise UserError(
                f"config.optimizer.{key} is {optimizer[key]!r}, which has no effect on {name}; leave it out, "
                'or set config.optimizer.name to "sgd".'
            )


def _check_image_size(resolved: Mapping[str, Any]) -> None:
    model, size = resolved["model"], resolved["data"]["image_size"]
    rows = CONFIGURATION_D if model["variant"] == "vgg16" else googlenet_rows(TABLE_1, model)
    least = least_image_size(rows, model["pool_rounding"])
    if size < least:
        raise UserError(
            f"config.data.image_size is {size}; it must be at least {least} if config.model.pool_rounding "
            f"is {model['pool_rounding']}, or the last feature map is empty."
        )


def _check_keys_of_vgg16(model: Mapping[str, Any]) -> None:
    defaults = {**DEFAULTS["model"], **VARIANTS["vgg16"]["model"]}
    for key, value in model.items():
        if key not in VGG16_KEYS and value != defaults[key]:
            raise UserError(f"config.model.{key} has no effect on vgg16; leave it out.")
    if model["normalization"] == "lrn":
        raise UserError('config.model.normalization cannot be "lrn" for vgg16; use "none" or "batch".')


def _merge(defaults: Mapping[str, Any], settings: Mapping[str, Any], prefix: str = "") -> dict[str, Any]:
    for key in settings:
        if key not in defaults:
            raise unknown_key(f"{prefix}{key}")
    merged: dict[str, Any] = {}
    for key, default in defaults.items():
        if isinstance(default, dict):
            section = settings.get(key, {})
            if not isinstance(section, Mapping | ConfigDict):
                raise UserError(
                    f"config.{prefix}{key} is a section; set a key of it, such as {next(iter(default))}."
                )
            merged[key] = _merge(default, section, f"{prefix}{key}.")
        else:
            merged[key] = _checked(f"{prefix}{key}", settings.get(key, default))
    return merged


def _checked(key: str, value: Any) -> Any:
    try:
        return KEYS[key].check(value)
    except ValueError as error:
        raise UserError(str(error)) from None


def with_num_classes(config: FrozenConfigDict, num_classes: int) -> FrozenConfigDict:
    """Return a config with `model.num_classes` replaced if it is 0.

    >>> with_num_classes(resolve({"model": {"num_classes": 0}}), 37).model.num_classes
    37
    """
    if config.model.num_classes:
        return config
    plain = config.to_dict()
    return FrozenConfigDict({**plain, "model": {**plain["model"], "num_classes": num_classes}})


def flatten(config: Mapping[str, Any], prefix: str = "") -> dict[str, Any]:
    """Return a nested config as a flat dictionary with dotted keys.

    >>> flatten({"a": {"b": 1}, "c": 2})
    {'a.b': 1, 'c': 2}
    """
    flat: dict[str, Any] = {}
    for key, value in config.items():
        if isinstance(value, Mapping | ConfigDict):
            flat.update(flatten(value, f"{prefix}{key}."))
        else:
            flat[prefix + key] = value
    return flat


def shared_settings(config: FrozenConfigDict) -> dict[str, Any]:
    """Return the keys that are the same for all processes of a run, by their full names.

    Args:
      config: a resolved config.
    """
    flat = flatten(to_json_dict(config))
    return {f"config.{key}": value for key, value in flat.items() if key not in _KEYS_OF_A_HOST}


def to_json_dict(config: FrozenConfigDict) -> dict[str, Any]:
    """Return a config as plain dictionaries, lists and scalars, as checkpoints record it."""
    plain: dict[str, Any] = json.loads(json.dumps(config.to_dict()))
    return plain


def first_difference(config: FrozenConfigDict, other: FrozenConfigDict) -> str | None:
    """Return the first key in which two configs differ, or None. Operational keys are ignored."""
    a, b = flatten(config), flatten(other)
    return next((key for key in a if key not in OPERATIONAL_KEYS and a[key] != b[key]), None)
