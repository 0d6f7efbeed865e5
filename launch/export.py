"""Write the network of a checkpoint to a file of another framework.

  python -m launch.export --checkpoint=DIR --format=torchvision --out=googlenet.pth
  python -m launch.export --checkpoint=DIR --format=onnx --out=googlenet.onnx

The weights are those that evaluation uses: averaged ones if the run averaged.
"""

from collections.abc import Sequence
from typing import Any

from absl import flags

import flax_googlenet
from flax_googlenet.interop import FORMATS, export
from launch.common import command, usage

__doc__ += "\n" + usage.definitions(
    {row.name: f"{row.description} ({', '.join(row.suffixes)})" for row in FORMATS.values()}
)

_CHECKPOINT = flags.DEFINE_string(
    "checkpoint", None, "Workdir of a run, a checkpoint in it, or gs://BUCKET/RUN.", required=True
)
_FORMAT = flags.DEFINE_enum("format", None, list(FORMATS), "Kind of file.", required=True)
_OUT = flags.DEFINE_string("out", None, "File to write.", required=True)


def main(arguments: Sequence[str]) -> dict[str, Any]:
    command.refuse_arguments(arguments)
    command.refuse_weights_file(_CHECKPOINT.value)
    path = export(flax_googlenet.load(_CHECKPOINT.value), _FORMAT.value, _OUT.value)
    return {"path": str(path), "format": _FORMAT.value, "bytes": path.stat().length}


if __name__ == "__main__":
    command.run(main)
