"""safetensors files, with the description of a checkpoint as metadata if they are ours."""

import json
import pathlib
from collections.abc import Mapping
from typing import Any

import numpy as np
import safetensors
import safetensors.numpy

from flax_googlenet.errors import UserError
from flax_googlenet.interop.layout import Tensors
from flax_googlenet.interop.naming import Path
from flax_googlenet.interop.weights_file import WeightsFile

_PREFIX = "flax_googlenet."  # of our keys in the metadata


def name_of(path: Path) -> str:
    """Return the name of an array in a file that `export` wrote.

    >>> name_of(("params", "inception_3a", "conv1x1", "conv", "kernel"))
    'inception_3a.conv1x1.conv.kernel'
    """
    return ".".join(path[1:])


def read(path: pathlib.Path) -> WeightsFile:
    """Read a file that `export` wrote.

    Raises:
      UserError: if the file is corrupt, or another program wrote it.
    """
    tensors, metadata = read_tensors(path)
    if "config" not in metadata:
        raise UserError(
            f"{path} was not written by our export; for torchvision's weights use source=torchvision."
        )
    return WeightsFile(tensors, metadata["config"], metadata["class_names"], metadata["origin"])


def read_tensors(path: pathlib.Path) -> tuple[dict[str, np.ndarray], dict[str, Any]]:
    """Return the tensors of any safetensors file, and the metadata that `serialize` gave it.

    Raises:
      UserError: if the file is corrupt or of another kind.
    """
    try:
        with safetensors.safe_open(path, framework="numpy") as file:
            metadata = {
                key.removeprefix(_PREFIX): json.loads(text)
                for key, text in (file.metadata() or {}).items()
                if key.startswith(_PREFIX)
            }
            return {name: file.get_tensor(name) for name in file.keys()}, metadata  # noqa: SIM118
    except (safetensors.SafetensorError, OSError, ValueError, TypeError) as error:
        raise UserError(f"{path} cannot be read; it is truncated or not a safetensors file.") from error


def serialize(tensors: Tensors, metadata: Mapping[str, Any]) -> bytes:
    """Return the bytes of a safetensors file.

    Args:
      tensors: the tensors by name.
      metadata: values that JSON can hold.
    """
    texts = {f"{_PREFIX}{key}": json.dumps(value) for key, value in metadata.items()}
    content: bytes = safetensors.numpy.save(dict(tensors), metadata=texts or None)
    return content
