"""Which key was meant by a name that no key has."""

import difflib
import re

from flax_googlenet.config.schema import DEFAULTS, KEYS
from flax_googlenet.errors import UserError

# What a key is called elsewhere, written together and without its section.
_OTHER_NAMES = {
    "batch_size": ("bs", "batch", "minibatch"),
    "duration": ("epochs", "steps", "iterations", "iters", "length"),
    "log_every": ("logsteps", "loginterval", "printfreq"),
    "init_from": ("pretrained", "resume", "restore", "finetune", "checkpoint"),
    "model.variant": ("arch", "architecture", "network", "net", "backbone"),
    "model.num_classes": ("classes", "labels"),
    "model.normalization": ("norm", "bn", "batchnorm", "lrn"),
    "model.dtype": ("precision", "bf16", "bfloat16", "fp16", "amp", "halfprecision", "mixedprecision"),
    "model.initializer": ("init",),
    "data.path": ("root", "dir", "datadir", "folder"),
    "data.image_size": ("size", "imgsize", "inputsize", "resolution", "cropsize"),
    "data.workers": ("threads", "numthreads"),
    "data.mean": ("normalize", "normalise", "pixelmean"),
    "data.mirror": ("flip", "hflip"),
    "data.photometric": ("jitter", "colorjitter"),
    "data.erasing": ("cutout",),
    "loss.label_smoothing": ("smoothing", "ls"),
    "optimizer.learning_rate": ("lr", "baselr", "rate", "stepsize"),
    "optimizer.weight_decay": ("wd", "l2", "decay"),
    "optimizer.momentum": ("beta", "beta1"),
    "optimizer.clip_norm": ("clip", "clipping", "gradclip", "gradientclip", "maxnorm"),
    "optimizer.accumulate": ("accum", "gradaccum"),
    "schedule.name": ("scheduler", "lrschedule"),
    "averaging.kind": ("ema", "polyak", "swa"),
    "evaluation.every": ("evalevery", "valevery"),
    "checkpoint.every": ("saveevery",),
}
_KEY_BY_OTHER_NAME = {name: key for key, names in _OTHER_NAMES.items() for name in names}


def unknown_key(key: str) -> UserError:
    """Return the mistake that there is no such key, with the nearest one that there is.

    >>> print(unknown_key("optimizer.lr"))
    The config has no key "optimizer.lr"; did you mean "optimizer.learning_rate"?
    """
    if isinstance(DEFAULTS.get(key), dict):
        first = next(iter(DEFAULTS[key]))
        return UserError(f'"{key}" is a section of the config; set a key of it, such as {key}.{first}.')
    nearest = nearest_key(key)
    hint = f'did you mean "{nearest}"?' if nearest else "flax_googlenet/config_schema.py lists them all."
    return UserError(f'The config has no key "{key}"; {hint}')


def nearest_key(asked: str) -> str | None:
    """Return the key that was meant: by its words, its name, its name elsewhere, or its letters.

    >>> nearest_key("lr"), nearest_key("droput"), nearest_key("?")
    ('optimizer.learning_rate', 'model.dropout', None)
    """
    asked = asked.lower()
    section, _, name = asked.rpartition(".")
    if section in DEFAULTS:
        for key in KEYS:
            if key.startswith(f"{section}.") and _has_words(key, name):
                return key
    namesakes = [key for key in KEYS if key.rpartition(".")[-1] == name]
    if namesakes:
        return max(namesakes, key=lambda key: _likeness(asked, key))
    together = re.sub("[^a-z0-9]", "", name).removeprefix("num").removeprefix("max")
    if together in _KEY_BY_OTHER_NAME:
        known = _KEY_BY_OTHER_NAME[together]
        sibling = f"{section}.{known.rpartition('.')[-1]}"
        return sibling if sibling in KEYS else known
    for key in KEYS:
        if _has_words(key, asked) or _has_words(asked, key.rpartition(".")[-1]):
            return key
    sections = [key for key, default in DEFAULTS.items() if isinstance(default, dict) and not section]
    nearest = max((*KEYS, *sections), key=lambda key: _likeness(asked, key))
    return nearest if _likeness(asked, nearest) > 0.75 else None


def _has_words(key: str, asked: str) -> bool:
    """Whether every word that was asked for is one of the key, or short for one."""
    own_words = re.split(r"[_.-]", key)

    def is_known(word: str) -> bool:
        return any(word == own or (len(word) > 2 and own.startswith(word)) for own in own_words)

    return all(map(is_known, re.split(r"[_.-]", asked)))


def _likeness(asked: str, key: str) -> float:
    """Return how alike two names are, from 0 to 1; without their sections where those agree."""
    section = asked.rpartition(".")[0]
    pairs = [(asked.rpartition(".")[-1], key.rpartition(".")[-1])]
    if section not in DEFAULTS:
        pairs.append((asked, key))
    ratios = [difflib.SequenceMatcher(a=a, b=b).ratio() for a, b in pairs]
    return max(ratios) + (0.05 if section and key.startswith(f"{section}.") else 0.0)
