"""The same training step in PyTorch as a workload of the harness."""

from collections.abc import Mapping
from typing import Any

import torch
from torch.nn import functional

from benchmarks.harness.forms import Workload
from benchmarks.harness.torch_workload import (
    compiled,
    matrix_product,
    peak_device_bytes,
    precision,
    start_torch,
    torch_facts,
    wait,
)
from benchmarks.peers.torch_networks import heads, network, normalization
from benchmarks.train_step.batch import random_batch


def build(
    variant: str,
    peer: str,
    batch_size: int,
    image_size: int,
    dtype: str,
    pixels: Mapping[str, Any],
    optimizer: Mapping[str, float],
    aux_weight: float,
    num_classes: int,
) -> Workload:
    """Prepare the training step.

    Args:
      variant: the variant of ours that the network is the counterpart of.
      peer: a key of `TORCH_MODES`.
      batch_size, image_size, dtype, num_classes: as in our config; bfloat16 is mixed precision.
      pixels: arguments of `normalization`.
      optimizer: "learning_rate", "momentum" and "weight_decay", which applies to kernels.
      aux_weight: weight of the losses of the auxiliary heads.
    """
    device = start_torch()
    model = network(variant, device).train()
    kernels = [parameter for parameter in model.parameters() if parameter.ndim > 1]
    others = [parameter for parameter in model.parameters() if parameter.ndim == 1]
    groups: list[dict[str, Any]] = [
        {"params": kernels, "weight_decay": optimizer["weight_decay"]},
        {"params": others},
    ]
    sgd = torch.optim.SGD(
        groups,
        lr=optimizer["learning_rate"],
        momentum=optimizer["momentum"],
        fused=True,
    )
    normalize = normalization(**pixels, device=device)
    images, labels = (
        torch.from_numpy(array).to(device) for array in random_batch(batch_size, image_size, num_classes)
    )

    def loss_and_top1(images: torch.Tensor, labels: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        mirror = torch.rand(len(images), device=device) < 0.5
        images = torch.where(mirror[:, None, None, None], images.flip(2), images)
        logits, *auxiliary = (head.float() for head in heads(model(normalize(images))))
        loss = functional.cross_entropy(logits, labels)
        for head in auxiliary:
            loss = loss + aux_weight * functional.cross_entropy(head, labels)
        return loss, (logits.argmax(1) == labels).float().mean()

    forward = compiled(loss_and_top1, peer)

    def call() -> float:
        sgd.zero_grad(set_to_none=True)
        with precision(device, dtype):
            loss, top1 = forward(images, labels)
        loss.backward()
        sgd.step()
        result = loss.item() + top1.item()
        wait(device)
        return result

    return Workload(call, torch_facts(device), *matrix_product(device, dtype), peak_device_bytes(device))
