"""What the peers have to know, without their packages: how to run, and how to normalize images."""

from collections.abc import Mapping
from typing import Any

from ml_collections import FrozenConfigDict

from flax_googlenet.config import to_json_dict

# The modes of torch.compile by the name of the peer; None is without compilation.
TORCH_MODES: Mapping[str, str | None] = {
    "torch_eager": None,
    "torch_compile": "default",
    "torch_cuda_graphs": "reduce-overhead",
    "torch_max_autotune": "max-autotune",
}


def pixels_of(config: FrozenConfigDict) -> dict[str, Any]:
    """Return the normalization of images in a resolved config, ready for JSON."""
    data = to_json_dict(config)["data"]
    return {key: data[key] for key in ("mean", "std", "channel_order")}
