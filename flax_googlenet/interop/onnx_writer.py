"""Networks as ONNX graphs, with the Model Zoo's names for their tensors."""

import json
from collections.abc import Mapping
from typing import Any

import numpy as np

from flax_googlenet.interop.layout import to_tensors
from flax_googlenet.interop.naming import Path
from flax_googlenet.interop.onnx_reader import NAMES, import_onnx
from flax_googlenet.models import GoogLeNet, Network
from flax_googlenet.ops.local_response_norm import ALPHA, BETA, SIZE, K
from flax_googlenet.ops.pooling import ceil_mode_padding
from flax_googlenet.table import RowKind

OPSET = 17
IR_VERSION = 8  # ONNX 1.13's, which runtimes from 2022 on read


def serialize(
    model: Network, variables: Mapping[str, Any], image_size: int, metadata: Mapping[str, Any]
) -> bytes:
    """Return the bytes of an ONNX file with the network for inference.

    Its input "data_0" is float32 [N, 3, height, width], prepared as the metadata describe. Its
    outputs are "logits" and "prob_1", float32 [N, classes].

    Args:
      model: the network.
      variables: the network's variables.
      image_size: height and width of the images.
      metadata: values that JSON can hold; each becomes a property of the ONNX model.

    Raises:
      UserError: if the package onnx is not installed.
    """
    onnx = import_onnx("Writing an ONNX file")
    builder = _Builder(onnx, model, to_tensors(variables, NAMES))
    logits = builder.build("data_0", image_size)
    builder.node("Identity", [logits], "logits")
    builder.node("Softmax", [logits], "prob_1", axis=-1)
    tensor = onnx.TensorProto.FLOAT
    graph = onnx.helper.make_graph(
        builder.nodes,
        "googlenet" if isinstance(model, GoogLeNet) else "vgg16",
        [onnx.helper.make_tensor_value_info("data_0", tensor, ["N", 3, image_size, image_size])],
        [
            onnx.helper.make_tensor_value_info(name, tensor, ["N", model.num_classes])
            for name in ("logits", "prob_1")
        ],
        [onnx.numpy_helper.from_array(builder.tensors[name], name) for name in builder.used],
    )
    onnx_model = onnx.helper.make_model(
        graph,
        opset_imports=[onnx.helper.make_opsetid("", OPSET)],
        ir_version=IR_VERSION,
        producer_name="flax_googlenet",
    )
    onnx.helper.set_model_props(onnx_model, {key: json.dumps(value) for key, value in metadata.items()})
    onnx.checker.check_model(onnx_model, full_check=True)
    content: bytes = onnx_model.SerializeToString()
    return content


class _Builder:
    """A graph under construction. Its methods append nodes; they take and return names of values."""

    def __init__(self, onnx: Any, model: Network, tensors: dict[str, np.ndarray]) -> None:
        self.onnx, self.model, self.tensors = onnx, model, tensors
        self.nodes: list[Any] = []
        self.used: dict[str, None] = {}  # a set of tensors in the order of their use

    def node(self, kind: str, inputs: list[str], output: str, **attributes: Any) -> str:
        """Append a node with one output."""
        self.used.update(dict.fromkeys(name for name in inputs if name in self.tensors))
        self.nodes.append(self.onnx.helper.make_node(kind, inputs, [output], output, **attributes))
        return output

    def build(self, x: str, size: int) -> str:
        """Append the network from the images `x` to the logits."""
        for row in self.model.rows:
            stem = ("stem",) if row.name in ("conv1", "conv2") else ()
            if row.kind is RowKind.CONVOLUTION:
                *reduction, _ = row.filters
                if any(reduction):
                    x = self.convolution((*stem, f"{row.name}_reduce"), x)
                x = self.convolution((*stem, row.name), x, row.stride)
                size = -(-size // row.stride)
                x = self.normalize(x) if row.name == "conv2" else x
            elif row.kind is RowKind.MAX_POOL:
                x, size = self.max_pool(row.name, x, size, row.patch)
                x = self.normalize(x) if row.name == "pool1" else x
            elif row.kind is RowKind.INCEPTION:
                x = self.inception(row.name, x, row.filters)
            elif row.kind is RowKind.AVERAGE_POOL:
                x = self.node("Flatten", [self.node("GlobalAveragePool", [x], row.name)], f"{row.name}_flat")
            elif row.kind is RowKind.FULLY_CONNECTED:
                x = self.node("Relu", [self.linear((row.name,), self.flatten(row.name, x, size))], row.name)
                size = 0
            elif row.kind is RowKind.LINEAR:
                x = self.linear((row.name,), x)
        return x

    def convolution(self, layer: Path, x: str, stride: int = 1) -> str:
        """Append a convolution, its batch normalization if it has one, and ReLU."""
        name = NAMES.layer(layer)
        kernel, bias = (NAMES.array(layer, ("conv", leaf)) for leaf in ("kernel", "bias"))
        side = self.tensors[kernel].shape[-1]
        same = isinstance(self.model, GoogLeNet) and self.model.conv_padding == "same" and stride > 1
        window: dict[str, Any] = {"kernel_shape": [side] * 2, "strides": [stride] * 2}
        window |= {"auto_pad": "SAME_UPPER"} if same else {"pads": [side // 2] * 4}
        inputs = [x, kernel] + ([bias] if bias in self.tensors else [])
        x = self.node("Conv", inputs, f"{name}_conv", **window)
        if self.model.normalization == "batch":
            norms = [NAMES.array(layer, ("norm", leaf)) for leaf in ("scale", "bias", "mean", "var")]
            epsilon = self.model.batch_norm_epsilon
            x = self.node("BatchNormalization", [x, *norms], f"{name}_bn", epsilon=epsilon)
        return self.node("Relu", [x], name)

    def normalize(self, x: str) -> str:
        """Append a local response normalization if the network has them."""
        if not isinstance(self.model, GoogLeNet) or self.model.normalization != "lrn":
            return x
        alpha = ALPHA if self.model.lrn_divides_alpha else ALPHA * SIZE  # ONNX divides by the size
        return self.node("LRN", [x], f"{x}_norm", size=SIZE, alpha=alpha, beta=BETA, bias=K)

    def max_pool(self, name: str, x: str, size: int, window: int) -> tuple[str, int]:
        """Append a strided pooling, and return the side of its output map as well."""
        ceil = isinstance(self.model, GoogLeNet) and self.model.pool_rounding == "ceil"
        end = ceil_mode_padding((size, size), window, 2)[0][1] if ceil else 0
        pads = [0, 0, end, end]
        x = self.node("MaxPool", [x], name, kernel_shape=[window] * 2, strides=[2, 2], pads=pads)
        return x, (size + end - window) // 2 + 1

    def inception(self, name: str, x: str, filters: tuple[int, ...]) -> str:
        """Append an Inception module."""
        _, reduce3x3, _, reduce5x5, _, pool_proj = filters
        pooled = self.node(
            "MaxPool", [x], f"{name}/pool", kernel_shape=[3, 3], strides=[1, 1], pads=[1, 1, 1, 1]
        )
        branches = [
            self.convolution((name, "conv1x1"), x),
            self.convolution((name, "conv3x3"), self.convolution((name, "reduce3x3"), x) if reduce3x3 else x),
            self.convolution((name, "conv5x5"), self.convolution((name, "reduce5x5"), x) if reduce5x5 else x),
            self.convolution((name, "pool_proj"), pooled) if pool_proj else pooled,
        ]
        return self.node("Concat", branches, f"{name}/output", axis=1)

    def flatten(self, name: str, x: str, size: int) -> str:
        """Flatten [N, C, H, W] to [N, H * W * C], the order of our weights. `size` is 0 for flat inputs."""
        if size:
            x = self.node("Transpose", [x], f"{name}_channels_last", perm=[0, 2, 3, 1])
        return self.node("Flatten", [x], f"{name}_flat")

    def linear(self, layer: Path, x: str) -> str:
        """Append a linear layer."""
        kernel, bias = (NAMES.array(layer, (leaf,)) for leaf in ("kernel", "bias"))
        return self.node("Gemm", [x, kernel, bias], f"{NAMES.layer(layer)}_linear", transB=1)
