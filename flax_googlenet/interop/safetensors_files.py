"""Files of safetensors: ours, with all that a checkpoint says of itself, and those of others."""

import json
import pathlib
from collections.abc import Mapping
from typing import Any

import numpy as np
import safetensors
import safetensors.numpy

from flax_googlenet.errors import UserError
from flax_googlenet.interop.layout import Path, Tensors


def name_of(layer: Path, leaf: Path) -> str:
    """Our own names, joined: "inception_3a.conv1x1.conv.kernel"."""
    return ".".join((*layer, *leaf))


def read(path: pathlib.Path) -> tuple[dict[str, np.ndarray], dict[str, Any]]:
    """Tensors, and the metadata of `write`.

    Raises:
      UserError: the file is broken or of another kind.
    """
    try:
        with safetensors.safe_open(path, framework="numpy") as file:
            metadata = {key: json.loads(text) for key, text in _own(file.metadata() or {}).items()}
            return {name: file.get_tensor(name) for name in file.keys()}, metadata  # noqa: SIM118
    except (safetensors.SafetensorError, OSError, ValueError, TypeError) as error:
        raise UserError(f"{path} cannot be read; it is truncated or no file of safetensors.") from error


def write(path: pathlib.Path, tensors: Tensors, metadata: Mapping[str, Any]) -> None:
    """Tensors, and metadata that JSON can hold."""
    texts = {f"flax_googlenet.{key}": json.dumps(value) for key, value in metadata.items()}
    safetensors.numpy.save_file(dict(tensors), path, metadata=texts or None)


def _own(metadata: Mapping[str, str]) -> dict[str, str]:
    prefix = "flax_googlenet."
    return {key.removeprefix(prefix): text for key, text in metadata.items() if key.startswith(prefix)}
