"""The contents of a file of weights, as a reader returns them."""

import dataclasses
from collections.abc import Mapping, Sequence
from typing import Any

from flax_googlenet.interop.layout import Tensors


@dataclasses.dataclass(frozen=True)
class WeightsFile:
    """The contents of a file of weights.

    Attributes:
      tensors: the weights, by their names in the file.
      config: the sections of a config, with the values that the file determines.
      class_names: names in the order of the logits; empty if the file has none.
      origin: the origin of the weights; empty if the file does not record it.
    """

    tensors: Tensors
    config: Mapping[str, Any]
    class_names: Sequence[str] = ()
    origin: Mapping[str, str] = dataclasses.field(default_factory=dict)
