"""What a user wrote, checked against the table of keys and filled in.

A file in `configs/` states what its experiment sets; `resolve` fills in the rest from
the variant's row in `VARIANTS` and from `DEFAULTS`, refuses what is not in the table of
`config_schema.py` or means nothing, and freezes the result. The resolved config is what
a checkpoint records.
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

# Of `data`, what weights expect of their images: what the host does, and the device after it.
HOST_PREPROCESSING = ("image_size", "resize", "stretch", "interpolation")
PREPROCESSING = (*HOST_PREPROCESSING, "mean", "std", "channel_order")


def resolve(config: Mapping[str, Any], inherited: Mapping[str, Any] | None = None) -> FrozenConfigDict:
    """Check a config and fill in the defaults.

    A key has the value that `config` gives it; else that of `inherited`, unless `config`
    asks for another variant; else that of the variant's row; else that of `DEFAULTS`.

    Args:
      config: what an experiment sets, with the nesting of `DEFAULTS`.
      inherited: what it takes over from the checkpoint that it starts from.

    Returns:
      Every key of `DEFAULTS`, frozen.

    Raises:
      UserError: an unknown key, a value of another type or out of range, or an unknown choice.

    >>> resolve({"optimizer": {"learning_rate": 1}}).optimizer.learning_rate
    1.0
    >>> resolve({"model": {"variant": "torchvision"}}).model.third_kernel
    3
    >>> resolve({"optimiser": {}})
    Traceback (most recent call last):
    flax_googlenet.errors.UserError: The config has no key "optimiser"; did you mean "optimizer"?
    """
    given = config.to_dict() if isinstance(config, ConfigDict) else config
    from_origin = _merge(DEFAULTS, inherited or {}, prefix="")
    variant = _merge(from_origin, given, prefix="")["model"]["variant"]
    resolved = _merge(DEFAULTS, VARIANTS[variant], prefix="")
    if inherited and variant == from_origin["model"]["variant"]:
        resolved = _merge(resolved, inherited, prefix="")
    resolved = _merge(resolved, given, prefix="")
    _check_mixing(resolved)
    if variant == "vgg16":
        _check_keys_of_vgg16(resolved["model"])
    _check_image_size(resolved)
    return FrozenConfigDict(resolved)


def _check_mixing(resolved: Mapping[str, Any]) -> None:
    at_once = resolved["batch_size"] // resolved["optimizer"]["accumulate"]
    for key in ("mixup", "cutmix"):
        if resolved["data"][key] and at_once < 2:
            raise UserError(
                f"config.data.{key} mixes images that are computed at once, and here that is {at_once}; "
                "raise config.batch_size or lower config.optimizer.accumulate."
            )


def _check_image_size(resolved: Mapping[str, Any]) -> None:
    model, size = resolved["model"], resolved["data"]["image_size"]
    rows = CONFIGURATION_D if model["variant"] == "vgg16" else googlenet_rows(TABLE_1, model)
    least = least_image_size(rows, model["pool_rounding"])
    if size < least:
        raise UserError(
            f"config.data.image_size is {size}; it must be at least {least} where config.model.pool_rounding "
            f"is {model['pool_rounding']}, or nothing is left of the last map."
        )


def _check_keys_of_vgg16(model: Mapping[str, Any]) -> None:
    usual = {**DEFAULTS["model"], **VARIANTS["vgg16"]["model"]}
    for key, value in model.items():
        if key not in VGG16_KEYS and value != usual[key]:
            raise UserError(f"config.model.{key} means nothing to vgg16; leave it out.")
    if model["normalization"] == "lrn":
        raise UserError('config.model.normalization of vgg16 cannot be "lrn"; use "none" or "batch".')


def _merge(defaults: Mapping[str, Any], given: Mapping[str, Any], prefix: str) -> dict[str, Any]:
    for key in given:
        if key not in defaults:
            raise unknown_key(f"{prefix}{key}")
    merged: dict[str, Any] = {}
    for key, default in defaults.items():
        if isinstance(default, dict):
            section = given.get(key, {})
            if not isinstance(section, Mapping | ConfigDict):
                raise UserError(
                    f"config.{prefix}{key} is a section; set a key of it, such as {next(iter(default))}."
                )
            merged[key] = _merge(default, section, f"{prefix}{key}.")
        else:
            merged[key] = _checked(f"{prefix}{key}", given.get(key, default))
    return merged


def _checked(key: str, value: Any) -> Any:
    try:
        return KEYS[key].check(value)
    except ValueError as error:
        raise UserError(str(error)) from None


def with_num_classes(config: FrozenConfigDict, num_classes: int) -> FrozenConfigDict:
    """The config with the number of classes filled in, where it is 0.

    >>> with_num_classes(resolve({"model": {"num_classes": 0}}), 37).model.num_classes
    37
    """
    if config.model.num_classes:
        return config
    plain = config.to_dict()
    return FrozenConfigDict({**plain, "model": {**plain["model"], "num_classes": num_classes}})


def flatten(config: Mapping[str, Any], prefix: str = "") -> dict[str, Any]:
    """Nested keys as dotted ones.

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


def to_json_dict(config: FrozenConfigDict) -> dict[str, Any]:
    """Plain dictionaries, lists and scalars, as a checkpoint keeps them."""
    plain: dict[str, Any] = json.loads(json.dumps(config.to_dict()))
    return plain


def first_difference(recorded: FrozenConfigDict, asked: FrozenConfigDict) -> str | None:
    """Name of the first key, operational ones aside, in which two configs differ."""
    a, b = flatten(recorded), flatten(asked)
    return next((key for key in a if key not in OPERATIONAL_KEYS and a[key] != b[key]), None)
