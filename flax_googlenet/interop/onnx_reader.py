"""BVLC's GoogLeNet as the ONNX Model Zoo distributes it: the names of its tensors, and its graph."""

import collections
import pathlib
from typing import Any

import numpy as np

from flax_googlenet.errors import UserError, missing_package
from flax_googlenet.interop.layout import Tensors
from flax_googlenet.interop.naming import LayerNames
from flax_googlenet.interop.weights_file import WeightsFile
from flax_googlenet.ops.local_response_norm import ALPHA, BETA, SIZE, K
from flax_googlenet.table import TABLE_1, RowKind

NAMES = LayerNames(
    layers={
        ("stem", "conv1"): "conv1/7x7_s2",
        ("stem", "conv2_reduce"): "conv2/3x3_reduce",
        ("stem", "conv2"): "conv2/3x3",
        ("head",): "loss3/classifier",
    },
    inception="inception_",
    branches={
        "conv1x1": "1x1",
        "reduce3x3": "3x3_reduce",
        "conv3x3": "3x3",
        "reduce5x5": "5x5_reduce",
        "conv5x5": "5x5",
        "pool_proj": "pool_proj",
    },
    heads={"aux_4a": "loss1", "aux_4d": "loss2"},
    head_layers={"conv": "conv", "fc": "fc", "head": "classifier"},
    leaves={
        ("conv", "kernel"): "_w_0",
        ("conv", "bias"): "_b_0",
        ("kernel",): "_w_0",
        ("bias",): "_b_0",
        # BVLC's network has no batch normalization; these names are ours, for exported networks.
        ("norm", "scale"): "/bn_scale",
        ("norm", "bias"): "/bn_bias",
        ("norm", "mean"): "/bn_mean",
        ("norm", "var"): "/bn_var",
    },
    separator="/",
)

# ONNX's defaults of the attributes that a node may leave out.
_LRN_DEFAULTS = {"alpha": 1e-4, "beta": 0.75, "bias": 1.0}
_LRN_OF_BVLC = {"size": SIZE, "alpha": ALPHA, "beta": BETA, "bias": K}


def read(path: pathlib.Path) -> WeightsFile:
    """Read BVLC's GoogLeNet from an ONNX file of any opset.

    Raises:
      UserError: if the file is corrupt, or its graph is of another network.
    """
    onnx = import_onnx(f"Reading {path}")
    try:
        model = onnx.load(path)
        tensors = {tensor.name: onnx.numpy_helper.to_array(tensor) for tensor in model.graph.initializer}
        for node in model.graph.node:
            if node.op_type == "Constant" and node.attribute[0].HasField("t"):
                tensors[node.output[0]] = onnx.numpy_helper.to_array(node.attribute[0].t)
    except (onnx.checker.ValidationError, OSError, ValueError, TypeError) as error:
        raise _unreadable(path) from error
    except Exception as error:
        if type(error).__name__ != "DecodeError":  # protobuf's, whose module is not public
            raise
        raise _unreadable(path) from error
    nodes = model.graph.node
    weights = {
        name: array for node in nodes for name, array in _weights(node, tensors) if name != node.output[0]
    }
    aux_heads = sum(NAMES.array((head, "head"), ("bias",)) in weights for head in NAMES.heads)
    _check_nodes(path, nodes, aux_heads)
    config: dict[str, Any] = {"aux_heads": aux_heads, "pool_rounding": _pool_rounding(path, nodes)}
    bias = weights.get(NAMES.array(("head",), ("bias",)))
    if bias is not None:
        config["num_classes"] = int(bias.size)
    return WeightsFile(weights, {"model": config})


def _unreadable(path: pathlib.Path) -> UserError:
    return UserError(f"{path} cannot be read; it is truncated or not an ONNX file.")


def _another_network(path: pathlib.Path, difference: str) -> UserError:
    return UserError(f"{path} is not BVLC's GoogLeNet: {difference}.")


def _node_counts(aux_heads: int) -> dict[str, int]:
    """Return the number of nodes by kind. Dropout, Reshape and Softmax depend on the opset.

    >>> _node_counts(aux_heads=0)
    {'Conv': 57, 'Relu': 57, 'MaxPool': 13, 'Concat': 9, 'LRN': 2}
    """
    kinds = collections.Counter(row.kind for row in TABLE_1)
    convolutions = sum(len(row.filters) for row in TABLE_1)
    return {
        "Conv": convolutions + aux_heads,
        "Relu": convolutions + 2 * aux_heads,
        "MaxPool": kinds[RowKind.MAX_POOL] + kinds[RowKind.INCEPTION],
        "Concat": kinds[RowKind.INCEPTION],
        "LRN": 2,
    }


def _check_nodes(path: pathlib.Path, nodes: Any, aux_heads: int) -> None:
    counts = collections.Counter(node.op_type for node in nodes)
    for kind, expected in _node_counts(aux_heads).items():
        if counts[kind] != expected:
            raise _another_network(
                path, f"its graph has {counts[kind]} nodes of kind {kind}, BVLC's {expected}"
            )
    for node in nodes:
        if node.op_type == "LRN":
            attributes = {**_LRN_DEFAULTS, **_attributes(node)}
            if any(not np.isclose(attributes[key], value) for key, value in _LRN_OF_BVLC.items()):
                raise _another_network(
                    path, f"its LRN {node.output[0]} has {attributes}, BVLC's {_LRN_OF_BVLC}"
                )


def _weights(node: Any, tensors: Tensors) -> list[tuple[str, np.ndarray]]:
    """Return the weights and biases among a node's inputs."""
    if node.op_type not in ("Conv", "Gemm", "Reshape"):
        return []
    names = [name for name in node.input if name in tensors and tensors[name].dtype.kind == "f"]
    return [(name, tensors[name]) for name in names]


def _pool_rounding(path: pathlib.Path, nodes: Any) -> str:
    """Return how the strided poolings round their output size: up if they are padded at the end."""
    roundings = {}
    for node in nodes:
        attributes = _attributes(node)
        if node.op_type == "MaxPool" and attributes.get("strides") == [2, 2]:
            pads = attributes.get("pads", [0, 0, 0, 0])
            if any(pads[:2]) or attributes["kernel_shape"] != [3, 3]:
                raise _another_network(path, f"its pooling {node.output[0]} differs")
            up = any(pads[2:]) or bool(attributes.get("ceil_mode", 0))
            roundings[node.name or node.output[0]] = "ceil" if up else "floor"
    if len(set(roundings.values())) != 1:
        raise _another_network(path, f"its poolings do not round alike ({roundings})")
    return next(iter(roundings.values()))


def _attributes(node: Any) -> dict[str, Any]:
    onnx = import_onnx("Reading a graph")
    attributes = {attribute.name: onnx.helper.get_attribute_value(attribute) for attribute in node.attribute}
    return {name: list(value) if hasattr(value, "__len__") else value for name, value in attributes.items()}


def import_onnx(purpose: str) -> Any:
    """Return the package onnx, which an extra installs.

    Raises:
      UserError: if it is not installed.
    """
    try:
        import onnx
        import onnx.numpy_helper
    except ImportError as error:
        raise missing_package(purpose, "onnx", "onnx") from error
    return onnx
