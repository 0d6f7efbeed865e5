"""Every key of an experiment's config, its default, and the check of what a user wrote.

A file in `configs/` states what its experiment sets; `resolve` fills in the rest from
the variant's row in `VARIANTS` and from `DEFAULTS`, refuses what is not here, and
freezes the result. The resolved config is what a checkpoint records.
"""

import json
import math
from collections.abc import Mapping
from typing import Any

from ml_collections import ConfigDict, FrozenConfigDict

from flax_googlenet.errors import UserError, did_you_mean
from flax_googlenet.variants import VARIANTS, VGG16_KEYS

# Durations are strings with their unit: "500 steps", "1 epoch", "1.5e6 examples".
DEFAULTS: dict[str, Any] = {
    "seed": 0,  # of the initial weights, dropout, shuffling and crops
    "init_from": "",  # a run or checkpoint whose weights, network and preprocessing it starts with
    "batch_size": 32,  # over all devices and hosts
    "duration": "60 epochs",
    "log_every": "50 steps",
    "model": {
        "variant": "paper",  # row of flax_googlenet/variants.py: what it sets are the defaults
        "num_classes": 1000,  # 0: as many as the data set has
        "normalization": "lrn",  # none | lrn (at two places in the stem) | batch
        "lrn_divides_alpha": False,  # alpha / size, as Caffe, ONNX and PyTorch have it
        "batch_norm_epsilon": 1e-3,
        "stem_reduce": True,  # the 1x1 convolution before the stem's 3x3
        "reduce3x3": True,  # the 1x1 convolution before a module's 3x3 ...
        "reduce5x5": True,  # ... before its 5x5 ...
        "project_pool": True,  # ... and after its pooling: Figure 2b. Without all three, 2a
        "third_kernel": 5,  # 3: the "5x5" branch of torchvision and TF-slim
        "conv_padding": "symmetric",  # symmetric (Caffe, PyTorch) | same (TensorFlow)
        "pool_rounding": "ceil",  # of the strided poolings' output size: ceil | floor
        "pool4_window": 3,  # 2: torchvision and TF-slim
        "head": "average",  # average | fully_connected (1024 units on the flattened map)
        "aux_heads": 2,  # 2 | 1 (aux_4d alone) | 0
        "aux_pooling": "paper",  # paper (5x5 windows at stride 3) | adaptive (PyTorch's windows)
        "dropout": 0.4,
        "aux_dropout": 0.7,
        "dtype": "float32",  # of activations: float32 | bfloat16
        "initializer": "xavier",  # xavier | he
        "initial_bias": 0.0,  # BVLC starts every bias but the last layers' at 0.2
    },
    "data": {
        "source": "image_folder",  # image_folder | tfds | mnist_sample
        "path": "",  # of an image folder: train/CLASS/*.jpg and val/CLASS/*.jpg, or CLASS/*.jpg
        "dataset": "",  # of tfds: imagenet2012, NAME/CONFIG:VERSION; `path` is its data_dir
        "train_split": "train",  # of tfds, in its notation, such as train[:90%] ...
        "val_split": "validation",  # ... and what is evaluated
        "val_share": 0.2,  # of each class of a folder that is CLASS/*.jpg: what is held out ...
        "split_seed": 0,  # ... and which images those are
        "image_size": 224,
        "resize": 256,  # shorter side in pixels before the centre crop
        "stretch": False,  # make both sides `resize` pixels long, whatever the aspect
        "interpolation": "area",  # area | linear (OpenCV's) | antialias (Pillow's bilinear)
        "train_crop": "random_resized",  # random_resized | center
        "train_interpolation": "linear",  # of those crops; also nearest, cubic, or random as in the paper
        "mirror": True,  # flip a random half of the training images
        # More augmentation of training images, on the device; 0 leaves it out. The order is that
        # of data/augmentation.py.
        "randaugment": 0,  # operations on an image, of RandAugment's; the usual number is 2 ...
        "randaugment_magnitude": 9.0,  # ... and how strong, of 30
        "photometric": 0.0,  # brightness, contrast, saturation times 1 +- this; Howard's is 0.5
        "lighting": 0.0,  # deviation of the noise in an image's colour; Krizhevsky's is 0.1
        "mixup": 0.0,  # alpha of the shares' Beta distribution, such as 0.2
        "cutmix": 0.0,  # the same of CutMix, such as 1.0; with both, a batch gets one of them
        "erasing": 0.0,  # probability that an image loses a box, such as 0.25 ...
        "erasing_fill": "noise",  # ... which is filled with: noise | mean
        "mean": (123.675, 116.28, 103.53),  # of red, green, blue, in 0-255
        "std": (58.395, 57.12, 57.375),
        "channel_order": "rgb",  # rgb | bgr: as the network gets them
        "on_error": "raise",  # at an image that cannot be decoded; skip: another takes its place
        "workers": 0,  # threads that decode; 0: one a core
        "prefetch": 4,  # batches decoded ahead
    },
    "loss": {"aux_weight": 0.3, "label_smoothing": 0.0},
    "optimizer": {
        "learning_rate": 0.01,
        "learning_rate_batch": 0,  # batch size that the rate is for; 0: whatever the batch size is
        "momentum": 0.9,
        "nesterov": False,
        "weight_decay": 2e-4,  # added to the gradient, kernels only
        "clip_norm": 0.0,  # of the whole gradient; 0: off
        "accumulate": 1,  # parts that a batch is computed in, one after the other
        # Patterns of parameters' names, such as "stem/*"; * stands for anything, "/" too.
        "freeze": (),  # what stays as it is
        "rates": (),  # pairs ("head/*", 10.0): the first that matches multiplies the rate
    },
    "schedule": {
        "name": "polynomial",  # polynomial | step | cosine | constant
        "warmup": "0 steps",  # linear from 0
        "power": 0.5,  # polynomial
        "decay_rate": 0.96,  # step
        "decay_every": "8 epochs",  # step
    },
    "averaging": {
        "kind": "none",  # none | ema | polyak (uniform)
        "decay": 0.9999,  # ema
        "start": "0 steps",
    },
    "evaluation": {"every": "1 epoch", "batch_size": 100},
    "checkpoint": {"every": "1 epoch", "keep_last": 2, "keep_best": 1},
}

# What may differ between a run and the one it resumes: none of it changes a result.
OPERATIONAL_KEYS = frozenset(
    {
        "log_every",
        "data.path",
        "data.workers",
        "data.prefetch",
        "evaluation.every",
        "evaluation.batch_size",
        "checkpoint.every",
        "checkpoint.keep_last",
        "checkpoint.keep_best",
    }
)

# Of `data`, what weights expect of their images: what the host does, and the device after it.
HOST_PREPROCESSING = ("image_size", "resize", "stretch", "interpolation")
PREPROCESSING = (*HOST_PREPROCESSING, "mean", "std", "channel_order")

_CHOICES: dict[str, tuple[str | int, ...]] = {
    "model.variant": tuple(VARIANTS),
    "model.normalization": ("none", "lrn", "batch"),
    "model.third_kernel": (5, 3),
    "model.conv_padding": ("symmetric", "same"),
    "model.pool_rounding": ("ceil", "floor"),
    "model.pool4_window": (3, 2),
    "model.head": ("average", "fully_connected"),
    "model.aux_heads": (2, 1, 0),
    "model.aux_pooling": ("paper", "adaptive"),
    "model.dtype": ("float32", "bfloat16"),
    "model.initializer": ("xavier", "he"),
    "data.train_crop": ("random_resized", "center"),
    "data.interpolation": ("area", "linear", "antialias"),
    "data.train_interpolation": ("linear", "area", "antialias", "nearest", "cubic", "random"),
    "data.on_error": ("raise", "skip"),
    "data.channel_order": ("rgb", "bgr"),
    "data.source": ("image_folder", "tfds", "mnist_sample"),
    "data.erasing_fill": ("noise", "mean"),
    "schedule.name": ("polynomial", "step", "cosine", "constant"),
    "averaging.kind": ("none", "ema", "polyak"),
}

_AT_LEAST = {
    "batch_size": 1,
    "data.randaugment": 0,
    "data.lighting": 0,
    "data.mixup": 0,
    "data.cutmix": 0,
    "model.num_classes": 0,
    "data.split_seed": 0,
    "data.prefetch": 1,
    "optimizer.accumulate": 1,
    "evaluation.batch_size": 1,
    "checkpoint.keep_last": 1,
}

_BETWEEN = {
    "data.randaugment_magnitude": (0, 30),
    "data.photometric": (0, 1),
    "data.erasing": (0, 1),
    "loss.label_smoothing": (0, 1),
}


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
    _check_choice("model.variant", variant)
    resolved = _merge(DEFAULTS, VARIANTS[variant], prefix="")
    if inherited and variant == from_origin["model"]["variant"]:
        resolved = _merge(resolved, inherited, prefix="")
    resolved = _merge(resolved, given, prefix="")
    flat = flatten(resolved)
    for key in _CHOICES:
        _check_choice(key, flat[key])
    _check_ranges(flat)
    if variant == "vgg16":
        _check_keys_of_vgg16(resolved["model"])
    return FrozenConfigDict(resolved)


def _check_choice(key: str, value: str | int) -> None:
    choices = _CHOICES[key]
    if value not in choices:
        raise UserError(f'config.{key} cannot be "{value}"; {did_you_mean(str(value), map(str, choices))}')


def _check_ranges(flat: Mapping[str, Any]) -> None:
    for key, least in _AT_LEAST.items():
        if not least <= flat[key] < math.inf:
            finite = "" if math.isfinite(flat[key]) else "a finite number, and "
            raise UserError(f"config.{key} is {flat[key]}; it must be {finite}at least {least}.")
    for key, (low, high) in _BETWEEN.items():
        if not low <= flat[key] <= high:
            raise UserError(f"config.{key} is {flat[key]}; it must be between {low} and {high}.")
    if not 0 < flat["data.val_share"] < 1:
        raise UserError(
            f"config.data.val_share is {flat['data.val_share']}; it must be between 0 and 1, such as 0.2."
        )
    at_once = flat["batch_size"] // flat["optimizer.accumulate"]
    for key in ("data.mixup", "data.cutmix"):
        if flat[key] and at_once < 2:
            raise UserError(
                f"config.{key} mixes images that are computed at once, and here that is {at_once}; raise "
                "config.batch_size or lower config.optimizer.accumulate."
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
            raise UserError(f'The config has no key "{prefix}{key}"; {_nearest_key(prefix, key, defaults)}')
    merged: dict[str, Any] = {}
    for key, default in defaults.items():
        if isinstance(default, dict):
            section = given.get(key, {})
            if not isinstance(section, Mapping):
                raise UserError(
                    f"config.{prefix}{key} is a section; set a key of it, such as {next(iter(default))}."
                )
            merged[key] = _merge(default, section, f"{prefix}{key}.")
        else:
            merged[key] = _convert(f"{prefix}{key}", given.get(key, default), default)
    return merged


def _nearest_key(prefix: str, key: str, defaults: Mapping[str, Any]) -> str:
    """Suggest a sibling, or failing that a key of that name in another section."""
    elsewhere = [path for path in flatten(DEFAULTS) if path.rsplit(".", 1)[-1] == key]
    if elsewhere:
        return f'did you mean "{elsewhere[0]}"?'
    return did_you_mean(prefix + key, [prefix + each for each in defaults])


def _convert(key: str, value: Any, default: Any) -> Any:
    if key == "optimizer.freeze":
        return _patterns(value)
    if key == "optimizer.rates":
        return _pairs(value)
    kind = type(default)
    if kind is tuple and isinstance(value, list | tuple) and len(value) == len(default):
        return tuple(float(each) for each in value)
    if kind is float and isinstance(value, int) and not isinstance(value, bool):
        return float(value)
    if kind is str and isinstance(value, int | float) and not isinstance(value, bool):
        return str(value)  # a path such as 0001, which the command line reads as a number
    if type(value) is not kind or kind is tuple:
        raise UserError(f"config.{key} is {value!r}; it must be {_KINDS[kind]}, such as {default!r}.")
    return value


def _patterns(value: Any) -> tuple[str, ...]:
    """Patterns of parameters' names; a single one needs no brackets."""
    patterns = (value,) if isinstance(value, str) else value
    if not isinstance(patterns, list | tuple) or not all(isinstance(each, str) and each for each in patterns):
        raise UserError(
            f"config.optimizer.freeze is {value!r}; it must be patterns of parameters' names, "
            'such as ("stem/*", "inception_3*").'
        )
    return tuple(patterns)


def _pairs(value: Any) -> tuple[tuple[str, float], ...]:
    """Pairs of a pattern and a factor, which is positive."""

    def is_pair(each: Any) -> bool:
        if not isinstance(each, list | tuple) or len(each) != 2:
            return False
        pattern, factor = each
        is_number = isinstance(factor, int | float) and not isinstance(factor, bool)
        return isinstance(pattern, str) and bool(pattern) and is_number and 0 < factor < math.inf

    if not isinstance(value, list | tuple) or not all(map(is_pair, value)):
        raise UserError(
            f"config.optimizer.rates is {value!r}; it must be pairs of a pattern of parameters' names and "
            'a factor above 0, such as (("head/*", 10.0),).'
        )
    return tuple((pattern, float(factor)) for pattern, factor in value)


_KINDS = {
    int: "a whole number",
    float: "a number",
    str: "a string",
    bool: "true or false",
    tuple: "three numbers",
}


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
