"""Export of checkpoints to the files of other frameworks."""

import dataclasses
import os
from collections.abc import Callable
from typing import Any

import jax
import jax.export
import jax.numpy as jnp
from etils import epath
from jaxtyping import Array, Float, UInt8

from flax_googlenet.classifier import Classifier
from flax_googlenet.config import resolve, to_json_dict
from flax_googlenet.errors import UserError, did_you_mean
from flax_googlenet.interop import layout, onnx_writer, safetensors_files, torchvision_weights
from flax_googlenet.paths import explaining_bucket_errors, make_directory, replace_file, user_path

PLATFORMS = ("cpu", "cuda", "tpu")

# Keys of `model` that do not change the state dict of torchvision's model.
_FREE_FOR_TORCHVISION = frozenset(
    {"variant", "num_classes", "aux_heads", "single_aux_head", "dropout", "aux_dropout", "remat", "dtype"}
    | {"initializer", "initial_bias", "lrn_divides_alpha"}
)


def export(classifier: Classifier, file_format: str, out: str | os.PathLike) -> epath.Path:
    """Write the network of a checkpoint to a file of another framework.

    Args:
      classifier: a network with its weights, as `load` returns it.
      file_format: a key of `FORMATS`.
      out: the file to write.

    Returns:
      The path of the file.

    Raises:
      UserError: if the format cannot hold this network, or the file cannot be written.
    """
    if file_format not in FORMATS:
        raise UserError(f'There is no format "{file_format}"; {did_you_mean(file_format, FORMATS)}')
    path = user_path(out)
    content = FORMATS[file_format].serialize(classifier, path.suffix)
    try:
        make_directory(path.parent)
        with explaining_bucket_errors(path, "write"):
            replace_file(path, content)
    except OSError as error:
        raise UserError(f"Cannot write {path}: {error.strerror or error}; choose another out.") from error
    return path


def serialize_safetensors(classifier: Classifier, _suffix: str) -> bytes:
    """Return a safetensors file with our own names, and the checkpoint's description as metadata."""
    tensors = layout.to_tensors(classifier.variables, safetensors_files.name_of)
    return safetensors_files.serialize(tensors, _metadata(classifier))


def serialize_torchvision(classifier: Classifier, suffix: str) -> bytes:
    """Return a file with a state dict that torchvision's model loads with strict=True.

    Without auxiliary heads, the file fits a model made with aux_logits=False.
    """
    _check_torchvision_can_hold(classifier)
    tensors = layout.to_tensors(classifier.variables, torchvision_weights.NAMES)
    return torchvision_weights.serialize(tensors, suffix)


def _check_torchvision_can_hold(classifier: Classifier) -> None:
    torchvision = resolve({"model": {"variant": "torchvision"}}).model
    model = classifier.config.model
    free = _FREE_FOR_TORCHVISION | (set() if model.aux_heads else {"aux_pooling"})
    for key, value in model.items():
        if key not in free and value != torchvision[key]:
            raise UserError(
                f"{classifier.checkpoint} is not torchvision's network: its {key} is {value}, "
                f"torchvision's {torchvision[key]}; export it as onnx, stablehlo or safetensors."
            )
    if model.aux_heads == 1:
        raise UserError(
            f"{classifier.checkpoint} has one auxiliary head and torchvision's network two or none; "
            "export it as onnx, stablehlo or safetensors."
        )


def serialize_onnx(classifier: Classifier, _suffix: str) -> bytes:
    """Return an ONNX file with the network for inference in float32.

    Its metadata describe how to prepare images.
    """
    size = classifier.config.data.image_size
    return onnx_writer.serialize(classifier.model, classifier.variables, size, _metadata(classifier))


def serialize_stablehlo(classifier: Classifier, _suffix: str) -> bytes:
    """Return a file of `jax.export` with the network, its weights and its normalization of images.

    It takes uint8 images [batch, size, size, 3], red first, in batches of any size, and returns
    {"logits", "probabilities"}, float32 [batch, classes], on CPU, CUDA and TPU. JAX promises that
    versions up to six months newer and three weeks older than the writer's read such a file.
    """
    size = classifier.config.data.image_size
    images = jax.ShapeDtypeStruct(jax.export.symbolic_shape(f"batch, {size}, {size}, 3"), jnp.uint8)
    exported = jax.export.export(jax.jit(inference(classifier)), platforms=PLATFORMS)(images)
    return bytes(exported.serialize())


def inference(
    classifier: Classifier,
) -> Callable[[UInt8[Array, "batch size size 3"]], dict[str, Float[Array, "batch classes"]]]:
    """Return the function that `serialize_stablehlo` exports."""

    def forward(images: UInt8[Array, "batch size size 3"]) -> dict[str, Float[Array, "batch classes"]]:
        logits = classifier.logits(classifier.variables, images)["logits"]
        return {"logits": logits, "probabilities": jax.nn.softmax(logits)}

    return forward


def _metadata(classifier: Classifier) -> dict[str, Any]:
    """Return the description of a checkpoint, for formats that hold metadata."""
    return {
        "config": to_json_dict(classifier.config),
        "class_names": list(classifier.class_names),
        "origin": dict(classifier.origin),
    }


@dataclasses.dataclass(frozen=True)
class FileFormat:
    """A format of files to export to.

    Attributes:
      name: its key in `FORMATS`.
      description: the content of its files, for help texts.
      suffixes: the usual suffixes of its files.
      serialize: returns the content of the file, for a classifier and the suffix of the file.
    """

    name: str
    description: str
    suffixes: tuple[str, ...]
    serialize: Callable[[Classifier, str], bytes]


_ROWS = (
    FileFormat(
        name="safetensors",
        description="our own names, with the config, class names and licence as metadata",
        suffixes=(".safetensors",),
        serialize=serialize_safetensors,
    ),
    FileFormat(
        name="torchvision",
        description="a state dict for torchvision.models.googlenet",
        suffixes=(".pth", ".safetensors"),
        serialize=serialize_torchvision,
    ),
    FileFormat(
        name="onnx",
        description="for inference, any batch size; its metadata describe how to prepare images",
        suffixes=(".onnx",),
        serialize=serialize_onnx,
    ),
    FileFormat(
        name="stablehlo",
        description=(
            "a file of jax.export: uint8 images in, logits and probabilities out, any batch size, for CPU, "
            "CUDA and TPU; JAX up to six months newer or three weeks older than the writer's reads it"
        ),
        suffixes=(".stablehlo",),
        serialize=serialize_stablehlo,
    ),
)
FORMATS = {file_format.name: file_format for file_format in _ROWS}
