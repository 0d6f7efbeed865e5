"""Accuracies of networks alone and together, by the number of crops."""

import dataclasses
import statistics
import sys
from collections.abc import Mapping, Sequence
from typing import Any

from etils import epath

import flax_googlenet
from flax_googlenet.checkpoints.arrays import restore_item
from flax_googlenet.classifier import Classifier
from flax_googlenet.data.images import crops as crops_of_an_image

FIGURES = ("top1", "top5")


def measure(
    classifiers: Sequence[Classifier], numbers: Sequence[int] = crops_of_an_image.NUMBERS, **options: Any
) -> dict[str, Any]:
    """Return the accuracies of the members and of their ensemble, by the number of crops.

    Args:
      classifiers: the members, two or more.
      numbers: numbers of crops per image.
      options: other arguments of `flax_googlenet.evaluate`.

    Returns:
      For each number of crops, "members" with the figures of each, their "mean", and those of the "ensemble".
    """
    result = {}
    for crops in numbers:
        evaluated = flax_googlenet.evaluate(classifiers, crops=crops, **options)
        ensemble, *members = map(_figures, (evaluated, *evaluated["members"]))
        mean = {name: statistics.mean(member[name] for member in members) for name in FIGURES}
        result[str(crops)] = {"members": members, "mean": mean, "ensemble": ensemble}
        print(f"{crops} crops: mean {mean}, ensemble {ensemble}", file=sys.stderr)
    return result


def without_averaging(classifier: Classifier) -> Classifier | None:
    """Return the network with the weights of its last step, or None if its run did not average them."""
    weights = restore_item(epath.Path(classifier.checkpoint), "weights")
    if not weights.get("averaged_params"):
        return None
    variables = {"params": weights["params"], "batch_stats": weights.get("batch_stats") or {}}
    return dataclasses.replace(classifier, variables=variables)


def _figures(figures: Mapping[str, Any]) -> dict[str, float]:
    return {name: figures[name] for name in FIGURES}
