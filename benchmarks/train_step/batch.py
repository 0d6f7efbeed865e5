"""The batch that every form trains on."""

import numpy as np
from jaxtyping import Int64, UInt8


def random_batch(
    batch_size: int, image_size: int, num_classes: int
) -> tuple[UInt8[np.ndarray, "batch height width 3"], Int64[np.ndarray, " batch"]]:
    """Return random images and labels, the same for every form."""
    rng = np.random.default_rng(0)
    images = rng.integers(0, 256, (batch_size, image_size, image_size, 3), dtype=np.uint8)
    return images, rng.integers(0, num_classes, batch_size)
