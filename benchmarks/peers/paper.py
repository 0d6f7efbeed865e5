"""The paper's network in PyTorch, from torchvision's class: biases, true 5x5 filters, LRN, 3x3 pooling."""

from typing import Any

import torch
from torch import nn
from torch.nn import functional
from torchvision.models import GoogLeNet
from torchvision.models.googlenet import Inception


class Convolution(nn.Module):
    """A convolution with a bias, and ReLU."""

    def __init__(self, in_channels: int, out_channels: int, **options: Any) -> None:
        super().__init__()
        self.conv = nn.Conv2d(in_channels, out_channels, **options)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Apply both."""
        return functional.relu(self.conv(x), inplace=True)


class PaperInception(Inception):
    """torchvision's module with 5x5 filters in the third branch, where torchvision has 3x3."""

    def __init__(self, in_channels: int, *filters: int) -> None:
        super().__init__(in_channels, *filters, conv_block=Convolution)
        *_, reduce5x5, conv5x5, _ = filters
        self.branch3[1] = Convolution(reduce5x5, conv5x5, kernel_size=5, padding=2)


class AuxiliaryClassifier(nn.Module):
    """The paper's auxiliary classifier, with torchvision's names."""

    def __init__(self, in_channels: int, num_classes: int, dropout: float) -> None:
        super().__init__()
        self.conv = Convolution(in_channels, 128, kernel_size=1)
        self.fc1 = nn.Linear(2048, 1024)
        self.fc2 = nn.Linear(1024, num_classes)
        self.dropout = nn.Dropout(dropout)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Return the logits."""
        # The paper's windows fit a 14x14 map only. Adaptive ones do the same work on maps of other sizes.
        x = functional.avg_pool2d(x, 5, 3) if x.shape[-1] == 14 else functional.adaptive_avg_pool2d(x, 4)
        x = torch.flatten(self.conv(x), 1)
        return self.fc2(self.dropout(functional.relu(self.fc1(x), inplace=True)))


def paper_network(*, divide_alpha: bool, num_classes: int = 1000) -> nn.Module:
    """Return the paper's network in training mode.

    Args:
      divide_alpha: whether LRN divides alpha by its size, as Caffe does; the paper's sums.
      num_classes: number of classes.
    """
    # PyTorch divides alpha by the size.
    alpha = 1e-4 if divide_alpha else 5e-4

    def normalization() -> nn.Module:
        return nn.LocalResponseNorm(5, alpha=alpha, beta=0.75, k=1.0)

    network = GoogLeNet(
        num_classes=num_classes,
        aux_logits=True,
        transform_input=False,
        init_weights=False,
        blocks=[Convolution, PaperInception, AuxiliaryClassifier],
        dropout=0.4,
        dropout_aux=0.7,
    )
    network.maxpool1 = nn.Sequential(network.maxpool1, normalization())
    network.maxpool2 = nn.Sequential(normalization(), network.maxpool2)
    network.maxpool4 = nn.MaxPool2d(3, stride=2, ceil_mode=True)
    return network
