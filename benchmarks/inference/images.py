"""The images that every form classifies."""

import numpy as np
from jaxtyping import UInt8


def random_images(batch_size: int, image_size: int) -> UInt8[np.ndarray, "batch height width 3"]:
    """Return random images, the same for every form."""
    return np.random.default_rng(0).integers(0, 256, (batch_size, image_size, image_size, 3), dtype=np.uint8)
