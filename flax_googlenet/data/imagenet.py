"""The 1,000 classes of ILSVRC 2012, in the order in which networks number them."""

import functools
import importlib.resources
from collections.abc import Sequence

VALIDATION_IMAGES = 50_000


@functools.cache
def imagenet_classes() -> dict[str, str]:
    """WordNet id -> name, sorted by id.

    >>> list(imagenet_classes().items())[0]
    ('n01440764', 'tench')
    """
    text = (importlib.resources.files(__package__) / "imagenet_classes.txt").read_text(encoding="utf-8")
    return dict(line.split(" ", 1) for line in text.splitlines())


def missing_from_validation(class_names: Sequence[str], count: int) -> int:
    """How many images a validation split lacks, if its classes are ImageNet's; otherwise 0.

    >>> missing_from_validation(list(imagenet_classes()), 49_999), missing_from_validation(["cat"], 3)
    (1, 0)
    """
    return VALIDATION_IMAGES - count if tuple(class_names) == tuple(imagenet_classes()) else 0
