"""Small networks and photographs for the studies."""

import pathlib
from typing import Any

import cv2
import numpy as np
import torchvision
from torch import nn
from torchvision.models.googlenet import BasicConv2d, Inception, InceptionAux

from tests.support.networks import shrink_table


def small_googlenet(*, num_classes: int, dropout_aux: float, **options: Any) -> nn.Module:
    """Return torchvision's network with the rows of `shrink_table`, given the arguments of `googlenet`."""
    del options["weights"]
    network = torchvision.models.GoogLeNet(num_classes=num_classes, dropout_aux=dropout_aux, **options)
    filters = {row.name: row.filters for row in shrink_table()}
    (first,), (reduce, second) = filters["conv1"], filters["conv2"]
    network.conv1 = BasicConv2d(3, first, kernel_size=7, stride=2, padding=3)
    network.conv2 = BasicConv2d(first, reduce, kernel_size=1)
    network.conv3 = BasicConv2d(reduce, second, kernel_size=3, padding=1)
    for name in ("inception3b", "inception4b", "inception4c", "inception4e", "inception5a", "inception5b"):
        setattr(network, name, nn.Identity())
    network.maxpool4 = nn.Identity()
    channels = second
    for name, head in (("inception_3a", ""), ("inception_4a", "aux1"), ("inception_4d", "aux2")):
        setattr(network, name.replace("_", ""), Inception(channels, *filters[name]))
        ones, _, threes, _, fives, pooled = filters[name]
        channels = ones + threes + fives + pooled
        if head:
            setattr(network, head, InceptionAux(channels, num_classes, dropout=dropout_aux))
    network.fc = nn.Linear(channels, num_classes)
    return network


def write_photographs(root: pathlib.Path, sizes: dict[str, int]) -> None:
    """Write JPEG files, as many for each class as `sizes` says, which differ from class to class in color."""
    rng = np.random.default_rng(0)
    for label, (name, count) in enumerate(sizes.items()):
        (root / name).mkdir(parents=True)
        for index in range(count):
            image = rng.integers(0, 60, (40, 48, 3), dtype=np.uint8)
            image[..., label % 3] += 150
            cv2.imwrite(str(root / name / f"{index}.jpg"), image)
