"""The same forward pass in PyTorch as a workload of the harness."""

from collections.abc import Mapping
from typing import Any

import numpy as np
import torch

from benchmarks.harness.forms import Workload
from benchmarks.harness.torch_workload import (
    compiled,
    matrix_product,
    peak_device_bytes,
    precision,
    start_torch,
    torch_facts,
)
from benchmarks.inference.images import random_images
from benchmarks.peers.torch_networks import heads, network, normalization


def build(
    variant: str, peer: str, image_size: int, batch_size: int, dtype: str, pixels: Mapping[str, Any]
) -> Workload:
    """Prepare the forward pass, from uint8 images on the host to probabilities on the host.

    Args:
      variant: the variant of ours that the network is the counterpart of.
      peer: a key of `TORCH_MODES`.
      image_size, batch_size, dtype: as in our config; bfloat16 is mixed precision.
      pixels: arguments of `normalization`.
    """
    device = start_torch()
    model = network(variant, device).eval()
    normalize = normalization(**pixels, device=device)
    images = random_images(batch_size, image_size)

    def probabilities(images: torch.Tensor) -> torch.Tensor:
        return torch.softmax(heads(model(normalize(images)))[0].float(), dim=1)

    forward = compiled(probabilities, peer)

    def call() -> np.ndarray:
        with torch.inference_mode(), precision(device, dtype):
            outputs = forward(torch.from_numpy(images).to(device)).cpu().numpy()
        return np.asarray(outputs)

    return Workload(call, torch_facts(device), *matrix_product(device, dtype), peak_device_bytes(device))
