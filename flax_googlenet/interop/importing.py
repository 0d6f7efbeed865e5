"""Import of weights from the files of other frameworks, as a classifier or as a checkpoint."""

import dataclasses
import os
import pathlib
from collections.abc import Mapping, Sequence
from typing import Any

import jax
from ml_collections import FrozenConfigDict

from flax_googlenet import checkpoints
from flax_googlenet.classifier import Classifier, variable_shapes
from flax_googlenet.config import DEFAULTS, resolve, to_json_dict
from flax_googlenet.data.sources.imagenet import imagenet_classes
from flax_googlenet.errors import UserError, did_you_mean
from flax_googlenet.interop import download, layout
from flax_googlenet.interop.registry import SOURCES, WeightsSource
from flax_googlenet.interop.weights_file import WeightsFile
from flax_googlenet.models import build_model
from flax_googlenet.models.initialization import initial_variables


@dataclasses.dataclass(frozen=True)
class Imported:
    """The result of `import_weights`.

    Attributes:
      checkpoint: the directory of the checkpoint.
      params: number of parameters at inference.
      missing: tensors that the file lacked, whose arrays were initialized.
      unused: tensors of the file that the network has no use for.
      metadata: see `Classifier.metadata`.
    """

    checkpoint: str
    params: int
    missing: tuple[str, ...]
    unused: tuple[str, ...]
    metadata: Mapping[str, Any]


def load_pretrained(
    source: str,
    path: str | os.PathLike | None = None,
    *,
    class_names: Sequence[str] = (),
    transform_input: bool = True,
    allow_missing: bool = False,
    allow_unused: bool = False,
) -> Classifier:
    """Load weights from a file of another framework, or published weights by the name of their source.

    Published weights are downloaded once, and every call reads the file again. To use weights
    in commands or as `init_from`, write a checkpoint of them with `import_weights`.

    Args:
      source, path, class_names, transform_input, allow_missing, allow_unused: see `import_weights`.

    Raises:
      UserError: if the file cannot be downloaded or read, or holds another network.
    """
    row = _find_source(source)
    classifier, _, _ = _open(row, path, class_names, transform_input, allow_missing, allow_unused)
    return dataclasses.replace(classifier, variables=jax.device_put(classifier.variables))


def import_weights(
    source: str,
    path: str | os.PathLike | None,
    out: str | os.PathLike,
    *,
    class_names: Sequence[str] = (),
    transform_input: bool = True,
    allow_missing: bool = False,
    allow_unused: bool = False,
) -> Imported:
    """Write a checkpoint with weights from a file of another framework.

    Args:
      source: the kind of file, a key of `SOURCES`.
      path: the file. None downloads the source's published weights, once.
      out: the directory for the checkpoint, as the workdir of a run.
      class_names: names in the order of the logits, for classes other than ImageNet's.
      transform_input: whether torchvision's model was made with transform_input, as the published
        one was. Files do not record it.
      allow_missing: whether to initialize arrays that the file lacks.
      allow_unused: whether to ignore tensors that the network has no use for.

    Raises:
      UserError: if the file cannot be downloaded or read, or holds another network, or if
        `out` holds a checkpoint.
    """
    row = _find_source(source)
    if checkpoints.find_latest(out) is not None:
        raise UserError(f"{out} holds a checkpoint already; choose another out.")
    classifier, missing, unused = _open(row, path, class_names, transform_input, allow_missing, allow_unused)
    description = checkpoints.Description(
        0, to_json_dict(classifier.config), classifier.class_names, origin=classifier.origin
    )
    checkpoint = checkpoints.write(out, classifier.variables, description)
    return Imported(checkpoint, classifier.params, tuple(missing), tuple(unused), classifier.metadata)


def _find_source(name: str) -> WeightsSource:
    if name not in SOURCES:
        raise UserError(f'There is no source "{name}"; {did_you_mean(name, SOURCES)}')
    return SOURCES[name]


def _open(
    source: WeightsSource,
    path: str | os.PathLike | None,
    class_names: Sequence[str],
    transform_input: bool,
    allow_missing: bool,
    allow_unused: bool,
) -> tuple[Classifier, list[str], list[str]]:
    """Return the network of a file, and the names of its missing and of its unused tensors."""
    file = _locate(source, path)
    weights = source.read(file)
    config = _resolve_config(source, weights, transform_input)
    names = _class_names(file, config.model.num_classes, class_names or weights.class_names)
    model = build_model(config.model)
    size = config.data.image_size
    variables = variable_shapes(model, size)
    missing, unused = layout.compare_names(weights.tensors, variables, source.naming)
    if missing and not allow_missing:
        raise UserError(
            f"{file} is not {source.network}: it lacks {_listed(missing)}; pass allow_missing=true to "
            "initialize them."
        )
    if unused and not allow_unused:
        raise UserError(
            f"{file} has tensors without a place in {source.network}: {_listed(unused)}; pass "
            "allow_unused=true to ignore them."
        )
    if missing:
        variables = initial_variables(model, config.model.initializer, config.seed, size)
    variables = layout.from_tensors(weights.tensors, variables, source.naming, str(file))
    classifier = Classifier(
        model,
        variables,
        config,
        names,
        step=0,
        history=(),
        checkpoint=str(file),
        origin=weights.origin or _origin(source, file),
    )
    return classifier, missing, unused


def _locate(source: WeightsSource, path: str | os.PathLike | None) -> pathlib.Path:
    if path is None:
        if source.published is None:
            raise UserError(f'The source "{source.name}" has no published weights; give the path of a file.')
        return download.fetch(source.published)
    file = pathlib.Path(path).expanduser()
    if not file.is_file():
        raise UserError(f"There is no file {file}; check the path.")
    return file


def _resolve_config(source: WeightsSource, weights: WeightsFile, transform_input: bool) -> FrozenConfigDict:
    config = dict(weights.config)
    if source.variant:
        config["model"] = {"variant": source.variant, **config["model"]}
    if source.may_transform_input and not transform_input:
        config["data"] = {key: DEFAULTS["data"][key] for key in ("mean", "std")}
    return resolve(config)


def _class_names(file: pathlib.Path, num_classes: int, class_names: Sequence[str]) -> tuple[str, ...]:
    if class_names:
        if len(class_names) != num_classes:
            raise UserError(
                f"{file} has {num_classes} classes and the list of names {len(class_names)}; give one name "
                "per class."
            )
        return tuple(class_names)
    imagenet = tuple(imagenet_classes().values())
    return imagenet if num_classes == len(imagenet) else tuple(map(str, range(num_classes)))


def _listed(names: Sequence[str], most: int = 5) -> str:
    """Return names as a list for a sentence, shortened if there are many.

    >>> _listed(["fc.bias"]), _listed(list("abcdefg"))
    ('fc.bias', 'a, b, c, d, e and 2 more')
    """
    return ", ".join(names[:most]) + (f" and {len(names) - most} more" if len(names) > most else "")


def _origin(source: WeightsSource, file: pathlib.Path) -> dict[str, str]:
    origin = {"source": source.name, "file": file.name, "sha256": checkpoints.sha256(file)}
    published = source.published
    if published and origin["sha256"].startswith(published.sha256):
        return {**origin, "address": published.address, "licence": published.licence}
    return {**origin, "licence": "not known: this is not the published file"}
