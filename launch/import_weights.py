"""Make a checkpoint of GoogLeNet's weights as others distribute them.

  python -m launch.import_weights --source=torchvision --out=DIR
  python -m launch.import_weights --source=torchvision --path=googlenet.pth --out=DIR
  python -m launch.import_weights --source=onnx --path=googlenet-12.onnx --out=DIR
  python -m launch.import_weights --source=safetensors --path=OURS.safetensors --out=DIR

Without --path the published file is downloaded, once. The result is an ordinary checkpoint,
with its preprocessing, class names and licence in it: evaluate, predict, export and
--config.init_from take it as any other.
"""

import pathlib
import sys
from collections.abc import Sequence
from typing import Any

from absl import flags

from flax_googlenet.errors import UserError
from flax_googlenet.interop import SOURCES, import_weights
from launch import command

_SOURCE = flags.DEFINE_enum(
    "source", None, SOURCES, "Where the weights come from; safetensors: launch.export.", required=True
)
_PATH = flags.DEFINE_string("path", None, "File: .pth, .safetensors or .onnx.")
_OUT = flags.DEFINE_string("out", None, "Directory for the checkpoint.", required=True)
_CLASS_NAMES = flags.DEFINE_string(
    "class_names", None, "Text file with one class name per line, if the classes are not ImageNet's."
)
_TRANSFORM_INPUT = flags.DEFINE_bool(
    "transform_input",
    True,
    "Whether torchvision's model had transform_input, as the published one has; files do not say.",
)
_ALLOW_MISSING = flags.DEFINE_bool("allow_missing", False, "Initialise tensors that the file lacks.")
_ALLOW_UNUSED = flags.DEFINE_bool("allow_unused", False, "Drop tensors that the network lacks.")


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
    if _SOURCE.value == "torchvision" and _TRANSFORM_INPUT.value:
        print("taken for a model with transform_input; if not: --transform_input=false", file=sys.stderr)
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
            f"{_CLASS_NAMES.value} cannot be read as a list of names; check --class_names."
        ) from error


if __name__ == "__main__":
    command.run(main)
