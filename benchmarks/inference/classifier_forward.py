"""The forward pass of `Classifier.predict` as a workload of the harness, at this commit or an older one."""

import pathlib
import tempfile
from collections.abc import Mapping
from typing import Any

import jax
import numpy as np

from benchmarks.harness.forms import Workload
from benchmarks.harness.jax_workload import jax_facts, matrix_product, peak_device_bytes
from benchmarks.inference.images import random_images
from benchmarks.random_weights import random_checkpoint
from flax_googlenet.models.summary import summarize


def build(model: Mapping[str, Any], image_size: int, batch_size: int) -> Workload:
    """Prepare the forward pass, from uint8 images on the host to probabilities on the host.

    Args:
      model: the section `model` of a config, before it is resolved.
      image_size, batch_size: shape of the images.
    """
    with tempfile.TemporaryDirectory(prefix="classifier-") as directory:
        classifier = random_checkpoint(pathlib.Path(directory), image_size, **model)
    images = random_images(batch_size, image_size)
    # Commits before fast paths have no prepared variables.
    variables = getattr(classifier, "_prepared", classifier.variables)

    def call() -> np.ndarray:
        heads = classifier._probabilities(variables, images, all_heads=False)
        probabilities: np.ndarray = jax.device_get(heads)["logits"]
        return probabilities

    flop = 2 * batch_size * summarize(classifier.model, image_size).multiply_adds
    return Workload(
        call,
        {**jax_facts(), "flop": flop},
        *matrix_product(classifier.config.model.dtype),
        peak_device_bytes(),
    )
