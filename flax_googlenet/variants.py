"""The variants of GoogLeNet, and VGG-16, as differences from the defaults of a config.

A variant is a row of values for the sections `model` and `data` of a config.
`config.model.variant` selects a row, and single keys override parts of it. The values of `data` are the
preprocessing that the published weights expect.
"""

from typing import Any

_CAFFE_PIXELS = {
    "mean": (123.0, 117.0, 104.0),  # in RGB order; the channels are reversed after normalization
    "std": (1.0, 1.0, 1.0),
    "channel_order": "bgr",
}

VARIANTS: dict[str, dict[str, dict[str, Any]]] = {
    # Table 1 with the two local response normalizations of Figure 3, with alpha as in the
    # formula of Krizhevsky et al. This is the network of the defaults in config/schema.py.
    "paper": {"model": {}, "data": {}},
    # bvlc_googlenet of Caffe's Model Zoo, trained on images stretched to 256x256.
    "bvlc": {
        "model": {"lrn_divides_alpha": True},
        "data": {**_CAFFE_PIXELS, "interpolation": "linear", "stretch": True},
    },
    # torchvision.models.googlenet, ported from TensorFlow. Its transform_input converts images
    # normalized with ImageNet's mean and deviation to (pixel - 127.5) / 127.5.
    "torchvision": {
        "model": {
            "normalization": "batch",
            "third_kernel": 3,
            "pool4_window": 2,
            "aux_pooling": "adaptive",
            "dropout": 0.2,
        },
        "data": {
            "mean": (127.5, 127.5, 127.5),
            "std": (127.5, 127.5, 127.5),
            "interpolation": "antialias",
        },
    },
    # Batch normalization with the paper's 5x5 branch. Ioffe & Szegedy 2015, section 4.2.1, leave out dropout
    # then; docs/versus_torchvision.md has what the paper's rate of 0.4 costs.
    "bn": {"model": {"normalization": "batch", "dropout": 0.2}, "data": {}},
    # The modules of Figure 2a, without dimension reductions.
    "naive": {"model": {"reduce3x3": False, "reduce5x5": False, "project_pool": False}, "data": {}},
    # Configuration D of Simonyan & Zisserman 2014, for comparison.
    "vgg16": {
        "model": {"normalization": "none", "aux_heads": 0, "dropout": 0.5},
        "data": _CAFFE_PIXELS,
    },
}

# The keys of `model` that VGG-16 uses.
VGG16_KEYS = frozenset(
    {"variant", "num_classes", "normalization", "batch_norm_epsilon", "dropout", "dtype"}
    | {"initializer", "initial_bias"}
)
