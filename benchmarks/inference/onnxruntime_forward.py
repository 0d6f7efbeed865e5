"""Our network, exported to ONNX, in onnxruntime as a workload of the harness."""

import json
import pathlib
import subprocess
import sys
import tempfile
from collections.abc import Mapping
from typing import Any

import numpy as np
import onnx
import onnxruntime

from benchmarks.harness.forms import Workload, cores
from benchmarks.inference.images import random_images

PROVIDERS = ("CUDAExecutionProvider", "CPUExecutionProvider")  # by preference


def build(model: Mapping[str, Any], image_size: int, batch_size: int, pixels: Mapping[str, Any]) -> Workload:
    """Prepare the forward pass, from uint8 images on the host to probabilities on the host, in float32.

    Args:
      model: the section `model` of our config, before it is resolved.
      image_size, batch_size: shape of the images.
      pixels: "mean", "std" and "channel_order", as in the section `data` of a config.
    """
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = cores()
    options.add_free_dimension_override_by_name("N", batch_size)
    available = onnxruntime.get_available_providers()
    providers = [name for name in PROVIDERS if name in available]
    network = with_normalization(_exported(model, image_size), **pixels)
    session = onnxruntime.InferenceSession(network.SerializeToString(), options, providers)
    images = random_images(batch_size, image_size)

    def call() -> np.ndarray:
        return np.asarray(session.run(["prob_1"], {"images": images})[0])

    device = session.get_providers()[0].removesuffix("ExecutionProvider").lower()
    facts = {"library": f"onnxruntime {onnxruntime.__version__}", "device": f"1 x {device}"}
    return Workload(call, facts)


def with_normalization(model: Any, mean: Any, std: Any, channel_order: str) -> Any:
    """Return an exported model that takes uint8 images [batch, height, width, 3] and normalizes them itself.

    The exported graph takes normalized images [batch, 3, height, width]. Normalizing in NumPy would add the
    time of one thread.
    """
    graph = model.graph
    (image,) = graph.input
    batch, channels, height, width = (
        dim.dim_param or dim.dim_value for dim in image.type.tensor_type.shape.dim
    )
    constants = {"pixel_mean": np.asarray(mean, np.float32), "pixel_std": np.asarray(std, np.float32)}
    if channel_order == "bgr":
        constants["pixel_order"] = np.array([2, 1, 0])
    graph.initializer.extend(onnx.numpy_helper.from_array(value, name) for name, value in constants.items())
    make = onnx.helper.make_node
    nodes = [
        make("Cast", ["images"], ["pixels"], to=onnx.TensorProto.FLOAT),
        make("Sub", ["pixels", "pixel_mean"], ["centered"]),
        make("Div", ["centered", "pixel_std"], ["scaled"]),
    ]
    if channel_order == "bgr":
        nodes.append(make("Gather", ["scaled", "pixel_order"], ["ordered"], axis=3))
    nodes.append(make("Transpose", [nodes[-1].output[0]], [image.name], perm=[0, 3, 1, 2]))
    nodes += graph.node
    del graph.node[:]
    graph.node.extend(nodes)
    del graph.input[:]
    graph.input.append(
        onnx.helper.make_tensor_value_info("images", onnx.TensorProto.UINT8, [batch, height, width, channels])
    )
    onnx.checker.check_model(model, full_check=True)
    return model


def _exported(model: Mapping[str, Any], image_size: int) -> Any:
    """Export our network in another process, so that JAX does not add to this one's memory."""
    with tempfile.TemporaryDirectory(prefix="onnx-") as directory:
        file = pathlib.Path(directory) / "network.onnx"
        command = [sys.executable, "-m", "benchmarks.inference.export", json.dumps(model), str(image_size)]
        subprocess.run([*command, str(file)], check=True)
        return onnx.load(file)
