"""Write a checkpoint with weights from a file of another framework.

  python -m launch.import_weights --source=torchvision --out=DIR
  python -m launch.import_weights --source=torchvision --path=googlenet.pth --out=DIR
  python -m launch.import_weights --source=onnx --path=googlenet-12.onnx --out=DIR
  python -m launch.import_weights --source=safetensors --path=OURS.safetensors --out=DIR

Without --path the published weights are downloaded, once. The result is an ordinary checkpoint,
with its preprocessing, class names and licence: evaluate, predict, export and --config.init_from
take it like any other.
"""

import pathlib
import sys
from collections.abc import Sequence
from typing import Any

from absl import flags

from flax_googlenet.errors import UserError
from flax_googlenet.interop import SOURCES, import_weights
from launch.common import command, usage

__doc__ += "\n" + usage.definitions(
    {row.name: f"{row.description} ({', '.join(row.suffixes)})" for row in SOURCES.values()}
)
_DOWNLOADED = [row.name for row in SOURCES.values() if row.published]

_SOURCE = flags.DEFINE_enum("source", None, list(SOURCES), "Kind of file.", required=True)
_PATH = flags.DEFINE_string(
    "path", None, f"The file. Without it, published weights are downloaded ({', '.join(_DOWNLOADED)})."
)
_OUT = flags.DEFINE_string("out", None, "Directory for the checkpoint.", required=True)
_CLASS_NAMES = flags.DEFINE_string(
    "class_names", None, "Text file with one class name per line, if the classes are not ImageNet's."
)
_TRANSFORM_INPUT = flags.DEFINE_bool(
    "transform_input",
    True,
    "Whether torchvision's model was made with transform_input, as the published one was; files do not "
    "record it.",
)
_ALLOW_MISSING = flags.DEFINE_bool("allow_missing", False, "Initialize arrays that the file lacks.")
_ALLOW_UNUSED = flags.DEFINE_bool("allow_unused", False, "Ignore tensors that the network has no use for.")


def main(arguments: Sequence[str]) -> dict[str, Any]:
    command.refuse_arguments(arguments)
    imported = import_weights(
        _SOURCE.value,
        _PATH.value,
        _OUT.value,
        class_names=_read_class_names(),
        transform_input=_TRANSFORM_INPUT.value,
        allow_missing=_ALLOW_MISSING.value,
        allow_unused=_ALLOW_UNUSED.value,
    )
    if SOURCES[_SOURCE.value].may_transform_input and _TRANSFORM_INPUT.value:
        print(
            "assuming a model with transform_input; otherwise pass --transform_input=false",
            file=sys.stderr,
        )
    for key, value in imported.metadata.items():
        print(f"{key}: {value}", file=sys.stderr)
    return {
        "params": imported.params,
        "checkpoint": imported.checkpoint,
        "missing": imported.missing,
        "unused": imported.unused,
    }


def _read_class_names() -> list[str]:
    if _CLASS_NAMES.value is None:
        return []
    try:
        return pathlib.Path(_CLASS_NAMES.value).read_text(encoding="utf-8").splitlines()
    except (OSError, UnicodeError) as error:
        raise UserError(
            f"{_CLASS_NAMES.value} cannot be read as a text file; check --class_names."
        ) from error


if __name__ == "__main__":
    command.run(main)
