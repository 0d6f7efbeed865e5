"""Suggestions for unknown config keys."""

import difflib
import re

from flax_googlenet.config.schema import DEFAULTS, KEYS
from flax_googlenet.errors import UserError

_KEY_BY_ALIAS = {alias: row.name for row in KEYS.values() for alias in row.aliases}


def unknown_key(name: str, listing: str = "docs/config.md lists them all.") -> UserError:
    """Return the error for a name that is not a key, with the nearest key as a suggestion.

    Args:
      name: the unknown name, with its section.
      listing: the end of the sentence if no key is similar.

    >>> print(unknown_key("optimizer.lr"))
    The config has no key "optimizer.lr"; did you mean "optimizer.learning_rate"?
    """
    if isinstance(DEFAULTS.get(name), dict):
        first = next(iter(DEFAULTS[name]))
        return UserError(f'"{name}" is a section of the config; set a key of it, such as {name}.{first}.')
    nearest = nearest_key(name)
    hint = f'did you mean "{nearest}"?' if nearest else listing
    return UserError(f'The config has no key "{name}"; {hint}')


def nearest_key(name: str) -> str | None:
    """Return the key that an unknown name most likely stands for, or None if no key is similar.

    Shared words count most, followed by equal last parts, aliases and similar spelling.

    >>> nearest_key("lr"), nearest_key("droput"), nearest_key("?")
    ('optimizer.learning_rate', 'model.dropout', None)
    """
    name = name.lower()
    section, _, last = name.rpartition(".")
    if section in DEFAULTS:
        for key in KEYS:
            if key.startswith(f"{section}.") and _has_words(key, last):
                return key
    namesakes = [key for key in KEYS if key.rpartition(".")[-1] == last]
    if namesakes:
        return max(namesakes, key=lambda key: _similarity(name, key))
    alias = re.sub("[^a-z0-9]", "", last).removeprefix("num").removeprefix("max")
    if alias in _KEY_BY_ALIAS:
        key = _KEY_BY_ALIAS[alias]
        sibling = f"{section}.{key.rpartition('.')[-1]}"
        return sibling if sibling in KEYS else key
    for key in KEYS:
        if _has_words(key, name) or _has_words(name, key.rpartition(".")[-1]):
            return key
    sections = [key for key, default in DEFAULTS.items() if isinstance(default, dict) and not section]
    nearest = max((*KEYS, *sections), key=lambda key: _similarity(name, key))
    return nearest if _similarity(name, nearest) > 0.75 else None


def _has_words(key: str, name: str) -> bool:
    """Return whether every word of a name is a word of a key or the beginning of one."""
    words = re.split(r"[_.-]", key)

    def is_known(word: str) -> bool:
        return word in words or (len(word) > 2 and any(known.startswith(word) for known in words))

    return all(map(is_known, re.split(r"[_.-]", name)))


def _similarity(name: str, key: str) -> float:
    """Return the similarity of two names from 0 to 1, with a bonus if they share a section."""
    section, _, last = name.rpartition(".")
    pairs = [(last, key.rpartition(".")[-1])]
    if section not in DEFAULTS:
        pairs.append((name, key))
    ratios = [difflib.SequenceMatcher(a=a, b=b).ratio() for a, b in pairs]
    return max(ratios) + (0.05 if section and key.startswith(f"{section}.") else 0.0)
