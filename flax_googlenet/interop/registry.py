"""The sources of weights, one row each. A new source is a row here and a reader."""

import dataclasses
import pathlib
from collections.abc import Callable

from flax_googlenet.interop import onnx_reader, safetensors_files, torchvision_weights
from flax_googlenet.interop.download import Published
from flax_googlenet.interop.naming import Naming
from flax_googlenet.interop.weights_file import WeightsFile


@dataclasses.dataclass(frozen=True)
class WeightsSource:
    """A kind of file with weights that can be imported.

    Attributes:
      name: its key in `SOURCES`.
      network: the network that its files hold, for messages.
      description: the content of its files, for help texts.
      suffixes: the usual suffixes of its files.
      read: reads a file.
      naming: the names of our arrays in its files.
      variant: the key of `VARIANTS` with its network and preprocessing; None if files record theirs.
      published: the weights to download if no file is given.
      may_transform_input: whether its networks have torchvision's option transform_input, which
        normalizes images with a mean and deviation of 127.5 and which files do not record.
    """

    name: str
    network: str
    description: str
    suffixes: tuple[str, ...]
    read: Callable[[pathlib.Path], WeightsFile]
    naming: Naming
    variant: str | None = None
    published: Published | None = None
    may_transform_input: bool = False


_ROWS = (
    WeightsSource(
        name="torchvision",
        network="torchvision's GoogLeNet",
        description="a state dict of torchvision.models.googlenet",
        suffixes=(".pth", ".pt", ".safetensors"),
        read=torchvision_weights.read,
        naming=torchvision_weights.NAMES,
        variant="torchvision",
        published=Published(
            address="https://download.pytorch.org/models/googlenet-1378be20.pth",
            sha256="1378be20",  # torchvision publishes eight digits, in the file's name
            licence="BSD-3-Clause (torchvision); the terms of ImageNet may apply",
        ),
        may_transform_input=True,
    ),
    WeightsSource(
        name="onnx",
        network="BVLC's GoogLeNet",
        description="BVLC's network from the ONNX Model Zoo, of any opset",
        suffixes=(".onnx",),
        read=onnx_reader.read,
        naming=onnx_reader.NAMES,
        variant="bvlc",
        published=Published(
            address="https://huggingface.co/onnxmodelzoo/googlenet-12/resolve/main/googlenet-12.onnx",
            sha256="c99c507058eaf41de8723408fdda7db8325cb57f0a89f2ee07a716d6e963e14e",
            licence="BSD-3-Clause (ONNX Model Zoo); BVLC's Caffe model is for unrestricted use",
        ),
    ),
    WeightsSource(
        name="safetensors",
        network="our network",
        description="a file that our export wrote",
        suffixes=(".safetensors",),
        read=safetensors_files.read,
        naming=safetensors_files.name_of,
    ),
)
SOURCES = {source.name: source for source in _ROWS}


def source_of_suffix(suffix: str) -> str | None:
    """Return the name of the last source in the table whose files have a suffix.

    >>> source_of_suffix(".pth"), source_of_suffix(".safetensors"), source_of_suffix(".jpg")
    ('torchvision', 'safetensors', None)
    """
    return next((source.name for source in reversed(_ROWS) if suffix in source.suffixes), None)
