"""The two photographs that scikit-learn ships, and JPEG files cut from them."""

import io

import numpy as np
import PIL.Image
from sklearn.datasets import load_sample_images


def photographs() -> list[np.ndarray]:
    """Return both photographs as uint8 [427, 640, 3]."""
    return list(load_sample_images().images)


def jpeg(index: int) -> bytes:
    """Return a JPEG file of about 100 kB and, as most of ImageNet, 500x375 pixels.

    Args:
      index: decides the photograph and the position in it.
    """
    random = np.random.RandomState(index)
    left, top = random.randint(0, 140), random.randint(0, 52)
    image = PIL.Image.fromarray(photographs()[index % 2])
    file = io.BytesIO()
    image.crop((left, top, left + 500, top + 375)).save(file, "JPEG", quality=90)
    return file.getvalue()
