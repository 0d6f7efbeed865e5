"""Comparison of the classes of data sets and networks by their names.

ImageNet's classes have several names: the WordNet id ("n01440764"), the id with the words of
its synset ("n01440764 tench, Tinca tinca"), and the first of these words ("tench"). All of these
names stand for the same class.
"""

import functools
import itertools
import re
from collections.abc import Sequence

from flax_googlenet.data.examples import Source
from flax_googlenet.data.sources.imagenet import imagenet_classes
from flax_googlenet.errors import UserError

_WORDNET_ID = re.compile(r"n\d{8}(?!\d)")


def same_class(name: str, other: str) -> bool:
    """Return whether two names stand for the same class.

    >>> same_class("tench", "n01440764"), same_class("n01440764 tench, Tinca tinca", "tench")
    (True, True)
    >>> same_class("cat", "dog"), same_class("tench", "goldfish")
    (False, False)
    """
    return name == other or (_wordnet_id(name) is not None and _wordnet_id(name) == _wordnet_id(other))


def same_classes(names: Sequence[str], others: Sequence[str]) -> bool:
    """Return whether two lists of names stand for the same classes in the same order."""
    return len(names) == len(others) and all(map(same_class, names, others))


def check_classes(source: Source, num_classes: int) -> None:
    """Check that a data set has as many classes as the network.

    Raises:
      UserError: if the numbers differ.
    """
    if len(source.class_names) != num_classes:
        raise UserError(
            f"The data set has {len(source.class_names)} classes and the network {num_classes}; "
            f"set config.model.num_classes={len(source.class_names)}."
        )


def check_same_classes(
    names: Sequence[str], others: Sequence[str], owner: str, other_owner: str, advice: str
) -> None:
    """Check that a label means the same class in two lists of class names.

    Args:
      names, others: class names in the order of the labels.
      owner, other_owner: the owners of the lists, such as "the training split".
      advice: the way out, which ends the error message.

    Raises:
      UserError: if the classes differ. The message names the first class that does.
    """
    if same_classes(names, others):
        return
    label, name, other = next(
        (label, name, other)
        for label, (name, other) in enumerate(itertools.zip_longest(names, others))
        if name is None or other is None or not same_class(name, other)
    )
    raise UserError(
        f"The classes of {owner} and of {other_owner} differ: class {label} is {_quote(name)} in the one "
        f"and {_quote(other)} in the other; {advice}."
    )


def _quote(name: str | None) -> str:
    return "missing" if name is None else f'"{name}"'


def _wordnet_id(name: str) -> str | None:
    if (match := _WORDNET_ID.match(name)) is not None:
        return match[0]
    return _ids_by_word().get(_normalize(name.partition(",")[0]))


@functools.cache
def _ids_by_word() -> dict[str, str]:
    return {_normalize(word): wordnet_id for wordnet_id, word in imagenet_classes().items()}


def _normalize(word: str) -> str:
    return word.strip().replace("_", " ")  # case matters: "Cardigan" is a dog, and "cardigan" is a garment
