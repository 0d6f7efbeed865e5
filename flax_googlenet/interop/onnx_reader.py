"""BVLC's GoogLeNet as the ONNX Model Zoo distributes it: names of its tensors, and its graph read."""

import collections
import dataclasses
import pathlib
from typing import Any

import numpy as np

from flax_googlenet.errors import UserError, missing_package
from flax_googlenet.interop.layout import Path

_LAYERS = {
    ("stem", "conv1"): "conv1/7x7_s2",
    ("stem", "conv2_reduce"): "conv2/3x3_reduce",
    ("stem", "conv2"): "conv2/3x3",
    ("head",): "loss3/classifier",
}
_BRANCHES = {
    "conv1x1": "1x1",
    "reduce3x3": "3x3_reduce",
    "conv3x3": "3x3",
    "reduce5x5": "5x5_reduce",
    "conv5x5": "5x5",
    "pool_proj": "pool_proj",
}
_HEADS = {"aux_4a": "loss1", "aux_4d": "loss2"}
_HEAD_LAYERS = {"conv": "conv", "fc": "fc", "head": "classifier"}
_LEAVES = {
    ("conv", "kernel"): "_w_0",
    ("conv", "bias"): "_b_0",
    ("kernel",): "_w_0",
    ("bias",): "_b_0",
    # BVLC's has no batch normalisation; these names are ours, for what is exported.
    ("norm", "scale"): "/bn_scale",
    ("norm", "bias"): "/bn_bias",
    ("norm", "mean"): "/bn_mean",
    ("norm", "var"): "/bn_var",
}
# Whatever the opset, these nodes are the graph; Dropout, Reshape and Softmax come and go.
_NODES = {"Conv": 57, "Relu": 57, "MaxPool": 13, "Concat": 9, "LRN": 2}
_LRN = {"size": 5, "alpha": 1e-4, "beta": 0.75, "bias": 1.0}


def layer_name(layer: Path) -> str:
    """The Model Zoo's name of a layer of ours.

    >>> layer_name(("inception_3a", "conv5x5"))
    'inception_3a/5x5'
    """
    if layer in _LAYERS:
        return _LAYERS[layer]
    first, *rest = layer
    names = _HEAD_LAYERS if first in _HEADS else _BRANCHES
    return "/".join([_HEADS.get(first, first), *(names[each] for each in rest)])


def name_of(layer: Path, leaf: Path) -> str:
    """The Model Zoo's name of an array of ours.

    >>> name_of(("stem", "conv1"), ("conv", "kernel"))
    'conv1/7x7_s2_w_0'
    """
    return layer_name(layer) + _LEAVES[leaf]


@dataclasses.dataclass(frozen=True)
class Graph:
    """What a file says.

    Attributes:
      tensors: its weights, by name.
      model: keys of `config.model` that follow from its nodes.
    """

    tensors: dict[str, np.ndarray]
    model: dict[str, Any]


def read(path: pathlib.Path) -> Graph:
    """Weights and structure of BVLC's GoogLeNet, of any opset.

    Raises:
      UserError: the file is broken, or holds another graph.
    """
    onnx = import_onnx(f"Reading {path}")
    try:
        model = onnx.load(path)
        tensors = {each.name: onnx.numpy_helper.to_array(each) for each in model.graph.initializer}
        for node in model.graph.node:
            if node.op_type == "Constant" and node.attribute[0].HasField("t"):
                tensors[node.output[0]] = onnx.numpy_helper.to_array(node.attribute[0].t)
    except (onnx.checker.ValidationError, OSError, ValueError, TypeError) as error:
        raise UserError(f"{path} cannot be read; it is truncated or no ONNX file.") from error
    except Exception as error:  # protobuf's DecodeError, whose module is not public
        if type(error).__name__ != "DecodeError":
            raise
        raise UserError(f"{path} cannot be read; it is truncated or no ONNX file.") from error
    nodes = model.graph.node
    of_layers = {
        name: array for node in nodes for name, array in _weights(node, tensors) if name != node.output[0]
    }
    structure: dict[str, Any] = {}
    bias = of_layers.get("loss3/classifier_b_0")
    if bias is not None:
        structure["num_classes"] = int(bias.size)
    structure["aux_heads"] = sum(f"{head}/classifier_b_0" in of_layers for head in _HEADS.values())
    _check_nodes(path, nodes, structure["aux_heads"])
    structure["pool_rounding"] = _pool_rounding(path, nodes)
    return Graph(of_layers, structure)


def _check_nodes(path: pathlib.Path, nodes: Any, aux_heads: int) -> None:
    counts = collections.Counter(node.op_type for node in nodes)
    of_heads = {"Conv": 1, "Relu": 2}
    for kind, count in _NODES.items():
        expected = count + aux_heads * of_heads.get(kind, 0)
        if counts[kind] != expected:
            raise UserError(
                f"{path} is not BVLC's GoogLeNet: its graph has {counts[kind]} nodes of kind {kind}, "
                f"BVLC's {expected}."
            )
    for node in nodes:
        if node.op_type == "LRN":
            attributes = {"alpha": 1e-4, "beta": 0.75, "bias": 1.0, **_attributes(node)}
            if any(not np.isclose(attributes[key], value) for key, value in _LRN.items()):
                raise UserError(
                    f"{path} is not BVLC's GoogLeNet: its LRN {node.output[0]} has {attributes}, not {_LRN}."
                )


def _weights(node: Any, tensors: dict[str, np.ndarray]) -> list[tuple[str, np.ndarray]]:
    """The weights and biases among a node's inputs."""
    if node.op_type not in ("Conv", "Gemm", "Reshape"):
        return []
    kept = [name for name in node.input if name in tensors and tensors[name].dtype.kind == "f"]
    return [(name, tensors[name]) for name in kept]


def _pool_rounding(path: pathlib.Path, nodes: Any) -> str:
    """How the strided poolings round: padded at the end, or told so, they round up."""
    found = {}
    for node in nodes:
        attributes = _attributes(node)
        if node.op_type == "MaxPool" and attributes.get("strides") == [2, 2]:
            pads = attributes.get("pads", [0, 0, 0, 0])
            up = any(pads[2:]) or bool(attributes.get("ceil_mode", 0))
            found[node.name or node.output[0]] = "ceil" if up else "floor"
            if any(pads[:2]) or attributes["kernel_shape"] != [3, 3]:
                raise UserError(f"{path} is not BVLC's GoogLeNet: its pooling {node.output[0]} is another.")
    if len(set(found.values())) != 1:
        raise UserError(f"{path} is not BVLC's GoogLeNet: its poolings round differently ({found}).")
    return next(iter(found.values()))


def _attributes(node: Any) -> dict[str, Any]:
    onnx = import_onnx("Reading a graph")
    found = {each.name: onnx.helper.get_attribute_value(each) for each in node.attribute}
    return {name: list(value) if hasattr(value, "__len__") else value for name, value in found.items()}


def import_onnx(purpose: str) -> Any:
    """The package onnx, which is an extra.

    Raises:
      UserError: it is not installed.
    """
    try:
        import onnx
        import onnx.numpy_helper
    except ImportError as error:
        raise missing_package(purpose, "onnx", "onnx") from error
    return onnx
