"""Evaluation of a checkpoint, or of several as an ensemble, on the validation split."""

import logging
import os
from collections.abc import Mapping, Sequence
from typing import Any

from etils import epath
from ml_collections import FrozenConfigDict

from flax_googlenet.classifier import Classifier, load
from flax_googlenet.config import resolve, shared_settings
from flax_googlenet.data import Source, check_same_classes, open_source
from flax_googlenet.data.images import crops as crops_of_an_image
from flax_googlenet.data.sources.imagenet import SPLIT_SIZES, missing_from_validation
from flax_googlenet.distributed import check_agreement, process_index
from flax_googlenet.errors import UserError
from flax_googlenet.evaluation.evaluate import Evaluator, Member
from flax_googlenet.paths import explaining_bucket_errors, user_path
from flax_googlenet.progress import Progress
from flax_googlenet.sharding import data_mesh

logger = logging.getLogger(__name__)

Checkpoint = str | os.PathLike | Classifier


def evaluate(
    checkpoints: Checkpoint | Sequence[Checkpoint],
    *,
    crops: int = 1,
    aux_heads: bool = False,
    data: Mapping[str, Any] | None = None,
    batch_size: int | None = None,
    out: str | os.PathLike | None = None,
) -> dict[str, Any]:
    """Evaluate on the whole validation split, every image exactly once, on all devices.

    Args:
      checkpoints: a checkpoint, as a path for `load` or as a classifier; or several, whose
        probabilities are averaged.
      crops: number of crops per image, whose probabilities are averaged: 1, 10, or the
        paper's 144.
      aux_heads: whether to evaluate the auxiliary heads, too.
      data: values that replace those in the section `data` of the checkpoints' configs, such
        as {"path": "/elsewhere"}.
      batch_size: number of crops in a forward pass; `evaluation.batch_size` of the config by
        default.
      out: directory for results.json and, for up to 50 classes, confusion.png.

    Returns:
      The figures of a detailed `Evaluator`: "top1", "top5", "loss", "num_examples", "ece",
      "class_accuracy" and so on, and "members" for several checkpoints; the numbers of "models"
      and "crops"; and "checkpoint".

    Raises:
      UserError: if a checkpoint, the data or `out` cannot be used, or the checkpoints do not
        form an ensemble.
    """
    if crops not in crops_of_an_image.NUMBERS:
        numbers = ", ".join(map(str, crops_of_an_image.NUMBERS))
        raise UserError(f"{crops} crops per image are not supported; crops is one of {numbers}.")
    classifiers = _load_all(checkpoints)
    changes = {"data": data or {}, "evaluation": {"batch_size": batch_size} if batch_size is not None else {}}
    configs = [_changed(classifier.config, changes) for classifier in classifiers]
    names = ",".join(classifier.checkpoint for classifier in classifiers)
    check_agreement(
        {"the checkpoint": names, "crops": crops, "aux_heads": aux_heads, **shared_settings(configs[0])}
    )
    source = open_source(configs[0].data, "val")
    _check_members(classifiers, source, aux_heads)
    if missing_from_validation(source.class_names, len(source)):
        logger.warning(
            f"the validation split has {len(source)} images and ImageNet's has {SPLIT_SIZES['validation']}; "
            "the figures do not compare with published ones"
        )
    members = zip(classifiers, configs, strict=True)
    evaluator = Evaluator(
        [Member(classifier.model, config.data) for classifier, config in members],
        source,
        data_mesh(),
        batch_size=configs[0].evaluation.batch_size,
        number_of_crops=crops,
        all_heads=aux_heads,
        detailed=True,
    )
    variables = [classifier.variables for classifier in classifiers]
    with Progress("evaluating", len(source)) as progress:
        metrics = evaluator(variables, progress.advance)
    figures = {
        **metrics,
        "models": len(classifiers),
        "crops": crops,
        "checkpoint": names,
    }
    if out is not None and process_index() == 0:
        _save_report(user_path(out), figures, classifiers[0].class_names)
    return figures


def _load_all(checkpoints: Checkpoint | Sequence[Checkpoint]) -> list[Classifier]:
    members = [checkpoints] if isinstance(checkpoints, Checkpoint) else checkpoints
    if not members:
        raise UserError("There is no checkpoint to evaluate; name at least one.")
    return [member if isinstance(member, Classifier) else load(member) for member in members]


def _changed(config: FrozenConfigDict, changes: Mapping[str, Mapping[str, Any]]) -> FrozenConfigDict:
    sections: dict[str, Any] = config.to_dict()
    for name, values in changes.items():
        sections[name] = {**sections[name], **values}
    return resolve(sections)


def _check_members(classifiers: Sequence[Classifier], source: Source, aux_heads: bool) -> None:
    """Check that the classes are those of the data, and the heads those of the first checkpoint."""
    for classifier in classifiers:
        check_same_classes(
            classifier.class_names,
            source.class_names,
            classifier.checkpoint,
            "the data set",
            "evaluate it on data of its own classes",
        )
    if not aux_heads:
        return
    first = classifiers[0]
    for classifier in classifiers:
        if len(classifier.model.head_names) == 1:
            raise UserError(f"{classifier.checkpoint} has no auxiliary heads; leave out aux_heads.")
        if classifier.model.head_names != first.model.head_names:
            raise UserError(
                f"{first.checkpoint} has the heads {_listed(first.model.head_names)}, but "
                f"{classifier.checkpoint} has {_listed(classifier.model.head_names)}; evaluate them one by "
                "one, or leave out aux_heads."
            )


def _listed(names: Sequence[str]) -> str:
    return ", ".join(names[:-1]) + f" and {names[-1]}"


def _save_report(directory: epath.Path, figures: Mapping[str, Any], class_names: Sequence[str]) -> None:
    from flax_googlenet.evaluation.report import save_report  # imports matplotlib, which takes a second

    try:
        with explaining_bucket_errors(directory, "write"):
            save_report(directory, figures, class_names)
    except OSError as error:
        raise UserError(f"Cannot write to {directory}: {error.strerror}; choose another out.") from error
