"""The networks that go by the name of GoogLeNet, and VGG-16: how each differs from the defaults.

A variant is a row of data over the same modules: values for the sections `model` and
`data` of a config, which `config.model.variant` picks and which single keys override.
What it says of the data belongs to the weights as much as to the network: they expect
their images prepared so.
"""

from typing import Any

_CAFFE_PIXELS = {
    "mean": (123.0, 117.0, 104.0),  # red first here as everywhere; the channels turn round after it
    "std": (1.0, 1.0, 1.0),
    "channel_order": "bgr",
}

VARIANTS: dict[str, dict[str, dict[str, Any]]] = {
    # Table 1 with the two local response normalisations of Figure 3, alpha as in the
    # formula of Krizhevsky et al. The defaults of config.py are this network.
    "paper": {"model": {}, "data": {}},
    # bvlc_googlenet of Caffe's model zoo. Its images were stretched to 256x256.
    "bvlc": {
        "model": {"lrn_divides_alpha": True},
        "data": {**_CAFFE_PIXELS, "interpolation": "linear", "stretch": True},
    },
    # torchvision.models.googlenet, ported from TensorFlow. Its transform_input turns the
    # usual mean and deviation into (pixel - 127.5) / 127.5.
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
    # Batch normalisation and the paper's 5x5: what we recommend for new work.
    "bn": {"model": {"normalization": "batch"}, "data": {}},
    # Figure 2a throughout.
    "naive": {"model": {"reduce3x3": False, "reduce5x5": False, "project_pool": False}, "data": {}},
    # Simonyan & Zisserman 2014, configuration D: what the paper's readers compare with.
    "vgg16": {
        "model": {"normalization": "none", "aux_heads": 0, "dropout": 0.5},
        "data": _CAFFE_PIXELS,
    },
}

# Keys of `model` that VGG-16 has a use for.
VGG16_KEYS = frozenset(
    {"variant", "num_classes", "normalization", "batch_norm_epsilon", "dropout", "dtype"}
    | {"initializer", "initial_bias"}
)
