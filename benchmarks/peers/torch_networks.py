"""PyTorch's counterparts of our variants, and the preparation of their input."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import torch
import torchvision

from benchmarks.peers.paper import paper_network

NETWORKS: Mapping[str, Callable[[], torch.nn.Module]] = {
    "torchvision": lambda: torchvision.models.googlenet(
        weights=None, init_weights=False, aux_logits=True, transform_input=False
    ),
    "paper": lambda: paper_network(divide_alpha=False),
    "bvlc": lambda: paper_network(divide_alpha=True),
    "vgg16": lambda: torchvision.models.vgg16(weights=None, init_weights=False),
}


def network(variant: str, device: torch.device) -> torch.nn.Module:
    """Return the counterpart of a variant in the layout channels_last, which is the fastest."""
    torch.manual_seed(0)
    return NETWORKS[variant]().to(device=device, memory_format=torch.channels_last)  # type: ignore[call-overload]


def normalization(
    mean: Sequence[float], std: Sequence[float], channel_order: str, device: torch.device
) -> Callable[[torch.Tensor], torch.Tensor]:
    """Return a function from uint8 images [batch, height, width, 3] to the input of a network.

    Args:
      mean, std, channel_order: as in the section `data` of a config.
      device: device of the images.
    """
    center, scale = torch.tensor(mean, device=device), torch.tensor(std, device=device)

    def normalize(images: torch.Tensor) -> torch.Tensor:
        x = (images.float() - center) / scale
        if channel_order == "bgr":
            x = x.flip(-1)
        return x.permute(0, 3, 1, 2)  # a view: the memory is that of channels_last

    return normalize


def heads(outputs: Any) -> list[torch.Tensor]:
    """Return the logits of the main head and of the auxiliary heads, if the network has them."""
    if isinstance(outputs, torch.Tensor):
        return [outputs]
    return [outputs.logits, outputs.aux_logits1, outputs.aux_logits2]
