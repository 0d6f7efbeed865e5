"""Are two lists of class names the same classes in the same order?

ImageNet's classes go by several names: the WordNet id ("n01440764"), the id with the words of
its synset ("n01440764 tench, Tinca tinca"), and the first of these words alone ("tench"). They
are taken for one another.
"""

import functools
import itertools
import re
from collections.abc import Sequence

from flax_googlenet.data.sources.imagenet import imagenet_classes
from flax_googlenet.errors import UserError

_WORDNET_ID = re.compile(r"n\d{8}(?!\d)")


def same_class(name: str, other: str) -> bool:
    """Return whether two names stand for one class.

    >>> same_class("tench", "n01440764"), same_class("n01440764 tench, Tinca tinca", "tench")
    (True, True)
    >>> same_class("cat", "dog"), same_class("tench", "goldfish")
    (False, False)
    """
    return name == other or (_wordnet_id(name) is not None and _wordnet_id(name) == _wordnet_id(other))


def same_classes(names: Sequence[str], others: Sequence[str]) -> bool:
    """Return whether two lists of names stand for the same classes in the same order."""
    return len(names) == len(others) and all(map(same_class, names, others))


def check_same_classes(
    names: Sequence[str], others: Sequence[str], owner: str, other_owner: str, advice: str
) -> None:
    """Refuse two lists of class names of which a label would mean two things.

    Args:
      names, others: class names in the order of the labels.
      owner, other_owner: what has them, such as "the training split".
      advice: how to mend it, the end of the sentence.

    Raises:
      UserError: the classes differ; the first that does is named.
    """
    if same_classes(names, others):
        return
    label, name, other = next(
        (label, name, other)
        for label, (name, other) in enumerate(itertools.zip_longest(names, others))
        if name is None or other is None or not same_class(name, other)
    )
    raise UserError(
        f"The classes of {owner} and of {other_owner} differ: class {label} is {_quoted(name)} in the one "
        f"and {_quoted(other)} in the other; {advice}."
    )


def _quoted(name: str | None) -> str:
    return "missing" if name is None else f'"{name}"'


def _wordnet_id(name: str) -> str | None:
    if (match := _WORDNET_ID.match(name)) is not None:
        return match[0]
    return _ids_by_word().get(_normalized(name.partition(",")[0]))


@functools.cache
def _ids_by_word() -> dict[str, str]:
    return {_normalized(word): wordnet_id for wordnet_id, word in imagenet_classes().items()}


def _normalized(word: str) -> str:
    return word.strip().replace("_", " ")  # "Cardigan" is a dog and "cardigan" a garment
