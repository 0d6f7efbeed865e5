"""From a file of another framework to a classifier, or to an ordinary checkpoint."""

import dataclasses
import functools
import os
import pathlib
from collections.abc import Mapping, Sequence
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from flax_googlenet import checkpoints
from flax_googlenet.classifier import Classifier
from flax_googlenet.config import DEFAULTS, resolve, to_json_dict
from flax_googlenet.data.sources.imagenet import imagenet_classes
from flax_googlenet.errors import UserError, did_you_mean
from flax_googlenet.interop import download, layout
from flax_googlenet.interop import onnx_reader as onnx
from flax_googlenet.interop import safetensors_files as safetensors
from flax_googlenet.interop import torchvision_weights as torchvision
from flax_googlenet.models import build_model
from flax_googlenet.models.initialization import initial_variables

# torchvision publishes the first eight digits of the digest, in the file's name.
PUBLISHED = {
    "torchvision": download.Published(
        address="https://download.pytorch.org/models/googlenet-1378be20.pth",
        sha256="1378be20",
        licence="BSD-3-Clause (torchvision); the terms of ImageNet may apply",
    ),
    "onnx": download.Published(
        address="https://huggingface.co/onnxmodelzoo/googlenet-12/resolve/main/googlenet-12.onnx",
        sha256="c99c507058eaf41de8723408fdda7db8325cb57f0a89f2ee07a716d6e963e14e",
        licence="BSD-3-Clause (ONNX Model Zoo); BVLC's Caffe model is for unrestricted use",
    ),
}
SOURCES = (*PUBLISHED, "safetensors")
NAMES = {"torchvision": "torchvision's GoogLeNet", "onnx": "BVLC's GoogLeNet", "safetensors": "our network"}


@dataclasses.dataclass(frozen=True)
class Imported:
    """What `import_weights` wrote.

    Attributes:
      checkpoint: its directory.
      params: number of parameters at inference.
      missing: tensors that the file lacked; they are as freshly initialised.
      unused: tensors of the file that have no place in the network.
      metadata: see `Classifier.metadata`.
    """

    checkpoint: str
    params: int
    missing: tuple[str, ...]
    unused: tuple[str, ...]
    metadata: Mapping[str, Any]


@dataclasses.dataclass(frozen=True)
class _File:
    """A file as it was read: tensors, what they are weights of, and what it says of itself."""

    tensors: dict[str, np.ndarray]
    naming: layout.Naming
    config: Mapping[str, Any]
    class_names: Sequence[str] = ()
    origin: Mapping[str, str] = dataclasses.field(default_factory=dict)


def load_pretrained(
    source: str,
    path: str | os.PathLike | None = None,
    *,
    class_names: Sequence[str] = (),
    transform_input: bool = True,
    allow_missing: bool = False,
    allow_unused: bool = False,
) -> Classifier:
    """Open weights from outside, the published ones by the name of their source alone.

    They are read from the file every time, which is downloaded once; `import_weights` makes
    a checkpoint of them, for `init_from` and the commands.

    Args:
      source: "torchvision" or "onnx", see `import_weights`; never a directory, `load` opens those.
      path, class_names, transform_input, allow_missing, allow_unused: as `import_weights` takes them.

    Raises:
      UserError: the file cannot be had or read, or is of another network.
    """
    read = _read(source, path, class_names, transform_input, allow_missing, allow_unused).classifier
    return dataclasses.replace(read, variables=jax.device_put(read.variables))


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
    """Make a checkpoint of weights from outside.

    Args:
      source: "torchvision", a state dict of torchvision.models.googlenet as .pth or
        .safetensors; "onnx", BVLC's as the ONNX Model Zoo has it, any opset; or
        "safetensors", what `export` wrote.
      path: of the file. None: the published one, downloaded once.
      out: directory for the checkpoint, as the workdir of a run.
      class_names: in the order of the logits; needed unless the classes are ImageNet's.
      transform_input: of torchvision's model. Its published weights have it; a state
        dict does not say.
      allow_missing: initialise what the file lacks.
      allow_unused: drop what the network lacks.

    Raises:
      UserError: the file cannot be read, is of another network, or `out` is taken.
    """
    if checkpoints.find_latest(out) is not None:
        raise UserError(f"{out} holds a checkpoint already; choose another out.")
    read = _read(source, path, class_names, transform_input, allow_missing, allow_unused)
    classifier = read.classifier
    description = checkpoints.Description(
        0, to_json_dict(classifier.config), classifier.class_names, origin=classifier.origin
    )
    checkpoint = checkpoints.write(out, classifier.variables, description)
    return Imported(checkpoint, classifier.params, read.missing, read.unused, classifier.metadata)


@dataclasses.dataclass(frozen=True)
class _Read:
    """A file's network, and how the file's tensors differ from those of the network."""

    classifier: Classifier
    missing: tuple[str, ...]
    unused: tuple[str, ...]


def _read(
    source: str,
    path: str | os.PathLike | None,
    class_names: Sequence[str],
    transform_input: bool,
    allow_missing: bool,
    allow_unused: bool,
) -> _Read:
    if source not in SOURCES:
        raise UserError(f'There is no source "{source}"; {did_you_mean(source, SOURCES)}')
    file = _locate(source, path)
    found = {
        "torchvision": lambda: _read_torchvision(file, transform_input),
        "onnx": lambda: _read_onnx(file),
        "safetensors": lambda: _read_safetensors(file),
    }[source]()
    config = resolve(found.config)
    names = _class_names(file, config.model.num_classes, class_names or found.class_names)
    model = build_model(config.model)
    size = config.data.image_size
    init = functools.partial(model.init, jax.random.key(config.seed), jnp.zeros((1, size, size, 3)))
    variables = jax.eval_shape(init)
    missing, unused = layout.account(found.tensors, variables, found.naming)
    _check_complete(f"{file} is not {NAMES[source]}", missing, "lacks", allow_missing, "missing")
    _check_complete(f"{file} is not {NAMES[source]} alone", unused, "has besides", allow_unused, "unused")
    if missing:
        variables = initial_variables(model, config.model.initializer, config.seed, size)
    variables = layout.convert(found.tensors, variables, found.naming, str(file))
    classifier = Classifier(
        model,
        variables,
        config,
        names,
        step=0,
        history=(),
        checkpoint=str(file),
        origin=found.origin or _origin(source, file),
    )
    return _Read(classifier, tuple(missing), tuple(unused))


def _origin(source: str, file: pathlib.Path) -> dict[str, str]:
    origin = {"source": source, "file": file.name, "sha256": checkpoints.sha256(file)}
    published = PUBLISHED.get(source)
    if published and origin["sha256"].startswith(published.sha256):
        return {**origin, "address": published.address, "licence": published.licence}
    return {**origin, "licence": "not known: this is not the published file"}


def _locate(source: str, path: str | os.PathLike | None) -> pathlib.Path:
    if path is None:
        if source not in PUBLISHED:
            raise UserError(f'The source "{source}" needs a file; give its path.')
        return download.fetch(PUBLISHED[source])
    file = pathlib.Path(path).expanduser()
    if not file.is_file():
        raise UserError(f"There is no file {file}; check the path.")
    return file


def _read_torchvision(file: pathlib.Path, transform_input: bool) -> _File:
    tensors = torchvision.read(file)
    data: dict[str, Any] = {}
    if not transform_input:
        data = {key: DEFAULTS["data"][key] for key in ("mean", "std")}
    config = {"model": {"variant": "torchvision", **torchvision.facts(tensors)}, "data": data}
    weights = {name: each for name, each in tensors.items() if not name.endswith(torchvision.COUNTER)}
    return _File(weights, torchvision.name_of, config)


def _read_onnx(file: pathlib.Path) -> _File:
    graph = onnx.read(file)
    return _File(graph.tensors, onnx.name_of, {"model": {"variant": "bvlc", **graph.model}})


def _read_safetensors(file: pathlib.Path) -> _File:
    tensors, described = safetensors.read(file)
    if "config" not in described:
        raise UserError(
            f"{file} was not written by our export; for torchvision's weights use source=torchvision."
        )
    return _File(
        tensors, safetensors.name_of, described["config"], described["class_names"], described["origin"]
    )


def _class_names(file: pathlib.Path, num_classes: int, given: Sequence[str]) -> tuple[str, ...]:
    if given:
        if len(given) != num_classes:
            raise UserError(f"{file} has {num_classes} classes and the list of names {len(given)}.")
        return tuple(given)
    imagenet = tuple(imagenet_classes().values())
    return imagenet if num_classes == len(imagenet) else tuple(map(str, range(num_classes)))


def _check_complete(complaint: str, names: Sequence[str], verb: str, allowed: bool, kind: str) -> None:
    if names and not allowed:
        listed = ", ".join(names[:5]) + (f" and {len(names) - 5} more" if len(names) > 5 else "")
        raise UserError(f"{complaint}: it {verb} {listed}; allow_{kind}=true takes it all the same.")
