"""From a checkpoint to the files of other frameworks."""

import pathlib
from collections.abc import Callable
from typing import Any

import jax
import jax.export
import jax.numpy as jnp

from flax_googlenet.classifier import Classifier
from flax_googlenet.config import resolve, to_json_dict
from flax_googlenet.errors import UserError, did_you_mean
from flax_googlenet.interop import layout
from flax_googlenet.interop import onnx_writer as onnx_graph
from flax_googlenet.interop import safetensors_files as safetensors
from flax_googlenet.interop import torchvision_weights as torchvision

PLATFORMS = ("cpu", "cuda", "tpu")

# Keys of `model` that a state dict of torchvision's model does not depend on.
_FREE_FOR_TORCHVISION = frozenset(
    {"variant", "num_classes", "aux_heads", "dropout", "aux_dropout", "dtype"}
    | {"initializer", "initial_bias", "lrn_divides_alpha"}
)


def export(classifier: Classifier, file_format: str, out: str) -> pathlib.Path:
    """Write a checkpoint's network for another framework.

    Args:
      classifier: of `load`.
      file_format: "safetensors", our own names with the config in the metadata;
        "torchvision", a state dict (.safetensors by the suffix of `out`); "onnx", for
        inference; or "stablehlo", see `write_stablehlo`.
      out: file to write.

    Raises:
      UserError: the format cannot hold this network, or the file cannot be written.
    """
    if file_format not in FORMATS:
        raise UserError(f'There is no format "{file_format}"; {did_you_mean(file_format, FORMATS)}')
    path = pathlib.Path(out).expanduser()
    # A suffix of its own until it is complete, but the last one decides the kind.
    half_written = path.with_name(f".half-written-{path.name}")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        FORMATS[file_format](half_written, classifier)
        half_written.replace(path)
    except OSError as error:
        raise UserError(f"Cannot write {path}: {error.strerror or error}; choose another out.") from error
    finally:
        if half_written.exists():
            half_written.unlink()
    return path


def metadata_of(classifier: Classifier) -> dict[str, Any]:
    """What goes along with the weights where a format has room for it."""
    return {
        "config": to_json_dict(classifier.config),
        "class_names": list(classifier.class_names),
        "origin": dict(classifier.origin),
    }


def write_safetensors(path: pathlib.Path, classifier: Classifier) -> None:
    """Our names and layouts, and a checkpoint's description as metadata."""
    tensors = layout.to_tensors(classifier.variables, safetensors.name_of)
    safetensors.write(path, tensors, metadata_of(classifier))


def write_torchvision(path: pathlib.Path, classifier: Classifier) -> None:
    """A state dict that torchvision's own model loads with strict=True.

    Without auxiliary heads, into one that was made with aux_logits=False.
    """
    theirs = resolve({"model": {"variant": "torchvision"}}).model
    ours = classifier.config.model
    free = _FREE_FOR_TORCHVISION | (set() if ours.aux_heads else {"aux_pooling"})
    for key, value in ours.items():
        if key not in free and value != theirs[key]:
            raise UserError(
                f"{classifier.checkpoint} is no network of torchvision's: its {key} is {value}, "
                f"torchvision's {theirs[key]}; export it as onnx, stablehlo or safetensors."
            )
    if ours.aux_heads == 1:
        raise UserError(
            f"{classifier.checkpoint} has one auxiliary head and torchvision's network two or none; "
            "export it as onnx, stablehlo or safetensors."
        )
    torchvision.write(path, layout.to_tensors(classifier.variables, torchvision.name_of))


def write_onnx(path: pathlib.Path, classifier: Classifier) -> None:
    """The network at inference, in float32; how to prepare its input is in its metadata."""
    onnx_graph.write(
        path,
        classifier.model,
        classifier.variables,
        classifier.config.data.image_size,
        metadata_of(classifier),
    )


def write_stablehlo(path: pathlib.Path, classifier: Classifier) -> None:
    """The network with its weights and normalisation, for CPU, CUDA and TPU, by `jax.export`.

    It takes uint8 images [batch, size, size, 3], red first, of any batch size, and gives
    {"logits", "probabilities"}, float32 [batch, classes]. JAX promises that such a file
    is read by versions up to six months newer and three weeks older than the one that
    wrote it.
    """
    path.write_bytes(
        jax.export.export(jax.jit(inference(classifier)), platforms=PLATFORMS)(
            images_of_any_number(classifier)
        ).serialize()
    )


def inference(classifier: Classifier) -> Callable[[jax.Array], dict[str, jax.Array]]:
    """The function that `write_stablehlo` writes."""

    def forward(images: jax.Array) -> dict[str, jax.Array]:
        logits = classifier.logits(classifier.variables, images)["logits"]
        return {"logits": logits, "probabilities": jax.nn.softmax(logits)}

    return forward


def images_of_any_number(classifier: Classifier) -> jax.ShapeDtypeStruct:
    """The shape of its argument, with a symbolic batch."""
    size = classifier.config.data.image_size
    return jax.ShapeDtypeStruct(jax.export.symbolic_shape(f"batch, {size}, {size}, 3"), jnp.uint8)


FORMATS: dict[str, Callable[[pathlib.Path, Classifier], None]] = {
    "safetensors": write_safetensors,
    "torchvision": write_torchvision,
    "onnx": write_onnx,
    "stablehlo": write_stablehlo,
}
