"""Names of layers and arrays in other implementations of GoogLeNet."""

import dataclasses
from collections.abc import Callable, Mapping

Path = tuple[str, ...]  # ("params", "stem", "conv1", "conv", "kernel")
Naming = Callable[[Path], str]  # path of an array of ours -> name of the tensor in the file


@dataclasses.dataclass(frozen=True)
class LayerNames:
    """The names that another implementation gives to the arrays of GoogLeNet; a `Naming`.

    Attributes:
      layers: names of the layers outside of modules and auxiliary heads, by their path here.
      inception: the beginning of a module's name, "inception_" here.
      branches: names of the convolutions of a module, by their name here.
      heads: names of the auxiliary heads.
      head_layers: names of the layers of an auxiliary head.
      leaves: ends of the names of a layer's arrays, by their path within the layer.
      separator: joins the parts of a layer's name.
    """

    layers: Mapping[Path, str]
    inception: str
    branches: Mapping[str, str]
    heads: Mapping[str, str]
    head_layers: Mapping[str, str]
    leaves: Mapping[Path, str]
    separator: str

    def layer(self, path: Path) -> str:
        """Return the name of a layer, such as ("inception_3a", "conv5x5")."""
        if path in self.layers:
            return self.layers[path]
        first, *rest = path
        if first in self.heads:
            parts = [self.heads[first], *(self.head_layers[part] for part in rest)]
        else:
            parts = [first.replace("inception_", self.inception), *(self.branches[part] for part in rest)]
        return self.separator.join(parts)

    def array(self, layer: Path, leaf: Path) -> str:
        """Return the name of an array of a layer."""
        return self.layer(layer) + self.leaves[leaf]

    def __call__(self, path: Path) -> str:
        """Return the name of the array at a path in a model's variables."""
        return self.array(*split(path))


def split(path: Path) -> tuple[Path, Path]:
    """Split the path of an array into the path of its layer and the rest.

    >>> split(("batch_stats", "aux_4a", "conv", "norm", "mean"))
    (('aux_4a', 'conv'), ('norm', 'mean'))
    >>> split(("params", "aux_4a", "fc", "kernel"))
    (('aux_4a', 'fc'), ('kernel',))
    """
    end = len(path) - (2 if path[-2] in ("conv", "norm") else 1)
    return path[1:end], path[end:]
