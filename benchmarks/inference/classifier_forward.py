"""The forward pass of `Classifier.predict` as a workload of the harness, at this commit or an older one."""

import pathlib
import sys
from collections.abc import Mapping
from typing import Any

import jax
import numpy as np

from benchmarks.harness.forms import Workload
from benchmarks.harness.jax_workload import jax_facts, matrix_product, peak_device_bytes
from benchmarks.inference.images import random_images
from flax_googlenet.classifier import Classifier, variable_shapes
from flax_googlenet.config import resolve
from flax_googlenet.interop.exporting import export
from flax_googlenet.models import build_model
from flax_googlenet.models.summary import summarize


def build(config: Mapping[str, Any], batch_size: int) -> Workload:
    """Prepare the forward pass, from uint8 images on the host to probabilities on the host."""
    classifier = random_classifier(config)
    size = classifier.config.data.image_size
    images = random_images(batch_size, size)

    def call() -> np.ndarray:
        heads = classifier._probabilities(classifier.variables, images, all_heads=False)
        probabilities: np.ndarray = jax.device_get(heads)["logits"]
        return probabilities

    flop = 2 * batch_size * summarize(classifier.model, size).multiply_adds
    return Workload(
        call,
        {**jax_facts(), "flop": flop},
        *matrix_product(classifier.config.model.dtype),
        peak_device_bytes(),
    )


def random_classifier(config: Mapping[str, Any]) -> Classifier:
    """Return a classifier with random weights, the same in every process."""
    resolved = resolve(config)
    model = build_model(resolved.model)
    rng = np.random.default_rng(0)

    def fill(path: Any, leaf: Any) -> jax.Array:
        if path[-1].key == "kernel":
            fan_in = np.prod(leaf.shape[:-1])
            values = rng.normal(0, np.sqrt(2 / fan_in), leaf.shape)
        else:
            values = np.full(leaf.shape, float(path[-1].key in ("scale", "var")))
        return jax.device_put(values.astype(leaf.dtype))

    variables = jax.tree_util.tree_map_with_path(fill, variable_shapes(model, resolved.data.image_size))
    names = tuple(str(label) for label in range(resolved.model.num_classes))
    return Classifier(model, variables, resolved, names, step=0, history=(), checkpoint="")


def export_onnx(config: Mapping[str, Any], file: pathlib.Path) -> None:
    """Write the network of `random_classifier` to an ONNX file."""
    export(random_classifier(config), "onnx", file)


if __name__ == "__main__":
    import json

    export_onnx(json.loads(sys.argv[1]), pathlib.Path(sys.argv[2]))
