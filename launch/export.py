"""Write a checkpoint's network for another framework.

  python -m launch.export --checkpoint=DIR --format=torchvision --out=googlenet.pth
  python -m launch.export --checkpoint=DIR --format=onnx --out=googlenet.onnx

safetensors  our own names, with the config, class names and licence as metadata
torchvision  a state dict for torchvision.models.googlenet; .pth or .safetensors
onnx         for inference, any batch size; its metadata say how to prepare the input
stablehlo    jax.export's file: uint8 images in, logits and probabilities out, any batch size, for
             CPU, CUDA and TPU; read by JAX up to six months newer or three weeks older than the writer's
"""

from collections.abc import Sequence
from typing import Any

from absl import flags

import flax_googlenet
from flax_googlenet.interop import FORMATS, export
from launch import command

_CHECKPOINT = flags.DEFINE_string(
    "checkpoint", None, "Workdir of a run, a checkpoint in it, or gs://BUCKET/RUN.", required=True
)
_FORMAT = flags.DEFINE_enum("format", None, list(FORMATS), "Kind of file.", required=True)
_OUT = flags.DEFINE_string("out", None, "File to write.", required=True)


def main(arguments: Sequence[str]) -> dict[str, Any]:
    command.refuse_arguments(arguments)
    command.refuse_weights_file(_CHECKPOINT.value)
    path = export(flax_googlenet.load(_CHECKPOINT.value), _FORMAT.value, _OUT.value)
    return {"path": str(path), "format": _FORMAT.value, "bytes": path.stat().st_size}


if __name__ == "__main__":
    command.run(main)
