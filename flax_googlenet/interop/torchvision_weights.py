"""State dicts of torchvision's GoogLeNet: the names of their tensors, and the files that hold them."""

import io
import pathlib
import pickle
from collections.abc import Mapping
from typing import Any

import numpy as np

from flax_googlenet.errors import UserError, missing_package
from flax_googlenet.interop import safetensors_files
from flax_googlenet.interop.layout import Tensors
from flax_googlenet.interop.naming import LayerNames
from flax_googlenet.interop.weights_file import WeightsFile

NAMES = LayerNames(
    layers={
        ("stem", "conv1"): "conv1",
        ("stem", "conv2_reduce"): "conv2",
        ("stem", "conv2"): "conv3",
        ("head",): "fc",
    },
    inception="inception",
    branches={
        "conv1x1": "branch1",
        "reduce3x3": "branch2.0",
        "conv3x3": "branch2.1",
        "reduce5x5": "branch3.0",
        "conv5x5": "branch3.1",
        "pool_proj": "branch4.1",
    },
    heads={"aux_4a": "aux1", "aux_4d": "aux2"},
    head_layers={"conv": "conv", "fc": "fc1", "head": "fc2"},
    leaves={
        ("conv", "kernel"): ".conv.weight",
        ("norm", "scale"): ".bn.weight",
        ("norm", "bias"): ".bn.bias",
        ("norm", "mean"): ".bn.running_mean",
        ("norm", "var"): ".bn.running_var",
        ("kernel",): ".weight",
        ("bias",): ".bias",
    },
    separator=".",
)

_COUNTER = "num_batches_tracked"  # PyTorch's batch normalization counts its updates; nothing here reads it


def read(path: pathlib.Path) -> WeightsFile:
    """Read a state dict from a .pth or .safetensors file, without running code that it may hold.

    Raises:
      UserError: if the file is corrupt, is not a state dict, or holds code.
    """
    if path.suffix == ".safetensors":
        tensors, _ = safetensors_files.read_tensors(path)
    else:
        tensors = _read_pth(path)
    weights = {name: tensor for name, tensor in tensors.items() if not name.endswith(_COUNTER)}
    model: dict[str, int] = {
        "aux_heads": sum(NAMES.array((head, "head"), ("kernel",)) in weights for head in NAMES.heads)
    }
    kernel = weights.get(NAMES.array(("head",), ("kernel",)))
    if kernel is not None:
        model["num_classes"] = int(kernel.shape[0])
    return WeightsFile(weights, {"model": model})


def _read_pth(path: pathlib.Path) -> dict[str, np.ndarray]:
    torch = _import_torch(f"Reading {path}")
    try:
        loaded = torch.load(path, map_location="cpu", weights_only=True)
    except (pickle.UnpicklingError, RuntimeError, EOFError, OSError, ValueError, KeyError) as error:
        if "unsupported global" in str(error).lower():  # a class or function that no tensor needs
            raise UserError(
                f"{path} holds code besides weights, which was not run; save only the weights: "
                "torch.save(model.state_dict(), FILE)."
            ) from error
        raise UserError(f"{path} cannot be read; it is truncated or not a PyTorch file.") from error
    if not isinstance(loaded, Mapping) or not all(isinstance(t, torch.Tensor) for t in loaded.values()):
        raise UserError(f"{path} holds no state dict; save one: torch.save(model.state_dict(), FILE).")
    return {str(name): tensor.detach().float().numpy() for name, tensor in loaded.items()}


def serialize(tensors: Tensors, suffix: str) -> bytes:
    """Return the bytes of a file with a state dict that torchvision's model loads with strict=True.

    Args:
      tensors: the weights and statistics, by torchvision's names.
      suffix: ".safetensors" for a safetensors file; any other for a file of `torch.save`.
    """
    counters = {
        name.replace("running_mean", _COUNTER): np.zeros((), np.int64)
        for name in tensors
        if name.endswith("running_mean")
    }
    state_dict = {**tensors, **counters}
    if suffix == ".safetensors":
        return safetensors_files.serialize(state_dict, {})
    torch = _import_torch("Writing a .pth file")
    content = io.BytesIO()
    torch.save({name: torch.from_numpy(np.array(array)) for name, array in state_dict.items()}, content)
    return content.getvalue()


def _import_torch(purpose: str) -> Any:
    try:
        import torch
    except ImportError as error:
        raise missing_package(purpose, "torch", "torch", "use a .safetensors file") from error
    return torch
