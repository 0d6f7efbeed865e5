"""torchvision's GoogLeNet: names of its tensors, and the files that hold its state dict."""

import pathlib
import pickle
from collections.abc import Mapping
from typing import Any

import numpy as np

from flax_googlenet.errors import UserError, missing_package
from flax_googlenet.interop import safetensors_files as safetensors
from flax_googlenet.interop.layout import Path, Tensors

_LAYERS = {
    ("stem", "conv1"): "conv1",
    ("stem", "conv2_reduce"): "conv2",
    ("stem", "conv2"): "conv3",
    ("head",): "fc",
}
_BRANCHES = {
    "conv1x1": "branch1",
    "reduce3x3": "branch2.0",
    "conv3x3": "branch2.1",
    "reduce5x5": "branch3.0",
    "conv5x5": "branch3.1",
    "pool_proj": "branch4.1",
}
_HEADS = {"aux_4a": "aux1", "aux_4d": "aux2"}
_HEAD_LAYERS = {"conv": "conv", "fc": "fc1", "head": "fc2"}
_LEAVES = {
    ("conv", "kernel"): "conv.weight",
    ("norm", "scale"): "bn.weight",
    ("norm", "bias"): "bn.bias",
    ("norm", "mean"): "bn.running_mean",
    ("norm", "var"): "bn.running_var",
    ("kernel",): "weight",
    ("bias",): "bias",
}
COUNTER = "num_batches_tracked"  # of each batch normalisation; without a use here


def layer_name(layer: Path) -> str:
    """Torchvision's name of a module of ours.

    >>> layer_name(("inception_3a", "conv5x5"))
    'inception3a.branch3.1'
    """
    if layer in _LAYERS:
        return _LAYERS[layer]
    first, *rest = layer
    names = _HEAD_LAYERS if first in _HEADS else _BRANCHES
    return ".".join([_HEADS.get(first, first.replace("_", "")), *(names[each] for each in rest)])


def name_of(layer: Path, leaf: Path) -> str:
    """Torchvision's name of an array of ours.

    >>> name_of(("aux_4a", "fc"), ("kernel",))
    'aux1.fc1.weight'
    """
    return f"{layer_name(layer)}.{_LEAVES[leaf]}"


def read(path: pathlib.Path) -> dict[str, np.ndarray]:
    """The tensors of a state dict in a .pth or .safetensors file, without running code.

    Raises:
      UserError: the file is no such thing, is broken, or holds code.
    """
    if path.suffix == ".safetensors":
        return safetensors.read(path)[0]
    torch = _import_torch(f"Reading {path}")
    try:
        loaded = torch.load(path, map_location="cpu", weights_only=True)
    except (pickle.UnpicklingError, RuntimeError, EOFError, OSError, ValueError, KeyError) as error:
        if "unsupported global" in str(error).lower():  # a class or function that is no tensor's
            raise UserError(
                f"{path} holds code besides weights, which was not run; save the weights alone: "
                "torch.save(model.state_dict(), FILE)."
            ) from error
        raise UserError(f"{path} cannot be read; it is truncated or no file of PyTorch.") from error
    if not isinstance(loaded, Mapping) or not all(isinstance(each, torch.Tensor) for each in loaded.values()):
        raise UserError(f"{path} holds no state dict; save one: torch.save(model.state_dict(), FILE).")
    return {str(name): tensor.detach().float().numpy() for name, tensor in loaded.items()}


def facts(tensors: Tensors) -> dict[str, Any]:
    """What a state dict says of the network: classes, and which heads it has."""
    found: dict[str, Any] = {"aux_heads": sum(f"{head}.fc2.weight" in tensors for head in ("aux1", "aux2"))}
    if "fc.weight" in tensors:
        found["num_classes"] = int(tensors["fc.weight"].shape[0])
    return found


def write(path: pathlib.Path, tensors: Tensors) -> None:
    """A state dict that torchvision's model loads with strict=True; .safetensors by the suffix."""
    counters = {
        name.replace("running_mean", COUNTER): np.zeros((), np.int64)
        for name in tensors
        if name.endswith("running_mean")
    }
    complete = {**tensors, **counters}
    if path.suffix == ".safetensors":
        safetensors.write(path, complete, {})
        return
    torch = _import_torch(f"Writing {path}")
    torch.save({name: torch.from_numpy(np.array(array)) for name, array in complete.items()}, path)


def _import_torch(purpose: str) -> Any:
    try:
        import torch
    except ImportError as error:
        raise missing_package(purpose, "torch", "torch", "use a .safetensors file") from error
    return torch
