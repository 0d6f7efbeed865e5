"""Comparison with BVLC's graph, which the package onnx ships, in onnxruntime."""

import pathlib
import re
from collections.abc import Iterator, Mapping
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import onnx
import onnxruntime

import flax_googlenet
from benchmarks.parity.comparison import Comparison, channels_first, compare
from flax_googlenet import ops
from flax_googlenet.interop import import_weights
from flax_googlenet.interop.onnx_reader import NAMES
from flax_googlenet.models.convolution import Convolution


def zoo_file(path: pathlib.Path, seed: int = 0) -> pathlib.Path:
    """Write the graph that the package onnx ships, with random weights in place of its constants."""
    model = onnx.load(pathlib.Path(onnx.__file__).parent / "backend/test/data/light/light_inception_v1.onnx")
    shapes = {tensor.name: onnx.numpy_helper.to_array(tensor) for tensor in model.graph.initializer}
    rng = np.random.default_rng(seed)
    nodes, weights = [], {}
    for node in model.graph.node:
        if node.op_type == "ConstantOfShape":
            weights[node.output[0]] = tuple(shapes[node.input[0]])
        else:
            nodes.append(node)
    weights |= {name: array.shape for name, array in shapes.items() if name.endswith("_b_0")}
    kept = [tensor for tensor in model.graph.initializer if tensor.name.startswith("OC2")]
    del model.graph.initializer[:], model.graph.node[:]
    model.graph.node.extend(nodes)
    model.graph.initializer.extend(kept)
    for name, shape in weights.items():
        scale = (2 / np.prod(shape[1:])) ** 0.5 if len(shape) > 1 else 0.1
        array = rng.normal(0, scale, shape).astype(np.float32)
        model.graph.initializer.append(onnx.numpy_helper.from_array(array, name))
    names_of_inputs = {"data_0", *(tensor.name for tensor in kept)}
    inputs = [value for value in model.graph.input if value.name in names_of_inputs]
    del model.graph.input[:]
    model.graph.input.extend(inputs)
    model.ir_version = 4  # the first version in which weights need not be inputs
    onnx.save(model, path)
    return path


def compare_with_onnx(directory: pathlib.Path) -> Iterator[Comparison]:
    """Compare every value of BVLC's graph, with weights imported from it."""
    file = zoo_file(directory / "googlenet-9.onnx")
    import_weights("onnx", str(file), str(directory / "bvlc"))
    classifier = flax_googlenet.load(directory / "bvlc")
    graph = onnx.load(file)
    values = {
        node.output[0] for node in graph.graph.node if node.op_type not in ("Conv", "Dropout", "Reshape")
    }
    del graph.graph.output[:]
    graph.graph.output.extend(onnx.helper.make_empty_tensor_value_info(name) for name in sorted(values))
    session = onnxruntime.InferenceSession(graph.SerializeToString())
    pixels = np.random.default_rng(1).uniform(-120, 130, (1, 224, 224, 3)).astype(np.float32)
    run = session.run(sorted(values), {"data_0": channels_first(pixels).numpy()})
    expected = dict(zip(sorted(values), run, strict=True))

    def forward(variables: Any, x: jax.Array) -> Any:
        return classifier.model.apply(
            variables,
            x,
            mutable=["intermediates"],
            capture_intermediates=lambda module, method: (
                method == "__call__" and isinstance(module, Convolution)
            ),
        )

    outputs, captured = jax.jit(forward)(classifier.variables, pixels)
    ours = _by_value_of_the_graph(graph.graph.node, captured["intermediates"], outputs["logits"])
    yield compare("ONNX Model Zoo's BVLC graph in onnxruntime: every value", ours, expected)


def _by_value_of_the_graph(nodes: Any, captured: Any, logits: jax.Array) -> dict[str, Any]:
    """Return our counterpart of each node's output, matched by weights and by the order of the rows."""
    rectified = {NAMES.array(layer, ("conv", "kernel")): array for layer, array in _convolutions(captured)}
    kernels = {node.output[0]: node.input[1] for node in nodes if node.op_type == "Conv"}
    stem = captured["stem"]
    rows = iter(("pool1", "pool2", "pool3", "pool4"))
    normalized = iter(("pool1", "conv2"))
    modules = iter(sorted(name for name in captured if re.fullmatch("inception_.._output", name)))
    values: dict[str, Any] = {}  # channels last
    for node in nodes:
        output, x = node.output[0], values.get(node.input[0])
        if node.op_type == "Relu":
            values[output] = rectified[kernels[node.input[0]]]
        elif node.op_type == "LRN":
            values[output] = stem[f"{next(normalized)}_output"][0]
        elif node.op_type == "MaxPool":
            strides = next(list(value.ints) for value in node.attribute if value.name == "strides")
            if strides == [1, 1]:
                values[output] = ops.max_pool(jnp.asarray(x), 3, 1, ((1, 1), (1, 1)))
            elif (row := next(rows)) == "pool1":  # in our graph, its row includes LRN
                values[output] = ops.max_pool(jnp.asarray(x), 3, 2, ((0, 0), (0, 0)))
            else:
                values[output] = {**stem, **captured}[f"{row}_output"][0]
        elif node.op_type == "Concat":
            values[output] = captured[next(modules)][0]
        elif node.op_type == "AveragePool":
            values[output] = captured["avg_pool_output"][0][:, None, None]
        elif node.op_type == "Gemm":
            values[output] = logits
        elif node.op_type == "Softmax":
            values[output] = jax.nn.softmax(logits)
    return {name: np.moveaxis(array, -1, 1) for name, array in values.items()}


def _convolutions(captured: Mapping[str, Any], prefix: tuple[str, ...] = ()) -> Iterator[tuple[Any, Any]]:
    for name, value in captured.items():
        if isinstance(value, Mapping):
            yield from _convolutions(value, (*prefix, name))
        elif name == "__call__":
            yield prefix, value[0]
