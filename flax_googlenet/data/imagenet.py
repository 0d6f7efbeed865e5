"""The 1,000 classes of ILSVRC 2012, in the order in which networks number them."""

import functools
import importlib.resources


@functools.cache
def imagenet_classes() -> dict[str, str]:
    """WordNet id -> name, sorted by id.

    >>> list(imagenet_classes().items())[0]
    ('n01440764', 'tench')
    """
    text = (importlib.resources.files(__package__) / "imagenet_classes.txt").read_text(encoding="utf-8")
    return dict(line.split(" ", 1) for line in text.splitlines())
