"""JPEG files to measure with where none are given: parts of the photographs that scikit-learn ships."""

import io

import numpy as np
import PIL.Image
from sklearn.datasets import load_sample_images


def jpeg(index: int) -> bytes:
    """500x375 pixels, as most of ImageNet has, at another place for each `index`; about 100 kB."""
    draw = np.random.RandomState(index)
    left, top = draw.randint(0, 140), draw.randint(0, 52)
    image = PIL.Image.fromarray(load_sample_images().images[index % 2])
    file = io.BytesIO()
    image.crop((left, top, left + 500, top + 375)).save(file, "JPEG", quality=90)
    return file.getvalue()
