"""Draw docs/augmentation.png, which shows what each augmentation does to two photographs.

python -m docs.augmentation
"""

import pathlib

import cv2
import jax
import numpy as np
import PIL.Image
import PIL.ImageDraw
from jaxtyping import UInt8
from sklearn.datasets import load_sample_images

from flax_googlenet.config import resolve
from flax_googlenet.data.augmentation.pipeline import augment

SIZE, COLUMNS, LABEL = 80, 8, 96
ROWS: dict[str, dict[str, float | str]] = {
    "mirror": {},
    "photometric=0.5": {"photometric": 0.5},
    "lighting=0.3": {"lighting": 0.3},
    "randaugment=2": {"randaugment": 2},
    "mixup=0.4": {"mixup": 0.4},
    "cutmix=1": {"cutmix": 1.0},
    "erasing=1": {"erasing": 1.0},
    "erasing=1,\nerasing_fill=mean": {"erasing": 1.0, "erasing_fill": "mean"},
}


def photographs() -> UInt8[np.ndarray, "columns size size 3"]:
    """Return a temple and a flower, alternating."""
    squares = [image[:, 100:527] for image in load_sample_images().images]
    small = [cv2.resize(square, (SIZE, SIZE), interpolation=cv2.INTER_AREA) for square in squares]
    return np.stack(small * (COLUMNS // 2))


def augmented(options: dict[str, float | str], seed: int) -> UInt8[np.ndarray, "columns size size 3"]:
    """Return augmented photographs, before normalization.

    Each pair is a batch of its own, since a batch is mixed in one way.
    """
    data = resolve({"data": {**options, "mean": (124.0, 116.0, 104.0), "std": (1.0, 1.0, 1.0)}}).data
    pairs = []
    for index, pair in enumerate(photographs().reshape(-1, 2, SIZE, SIZE, 3)):
        key = jax.random.fold_in(jax.random.key(seed), index)
        flip_key, _ = jax.random.split(key)
        images, _ = augment(key, flip_key, pair, np.zeros(2, np.int32), data, num_classes=2)
        pairs.append(np.asarray(images) + np.asarray(data.mean))
    return np.clip(np.concatenate(pairs).round(), 0, 255).astype(np.uint8)


def draw() -> PIL.Image.Image:
    """Draw a row for each augmentation."""
    picture = PIL.Image.new("RGB", (LABEL + COLUMNS * SIZE, len(ROWS) * SIZE), "white")
    pen = PIL.ImageDraw.Draw(picture)
    for row, (label, options) in enumerate(ROWS.items()):
        pen.text((4, row * SIZE + SIZE // 2 - 6), label, "black")
        for column, image in enumerate(augmented(options, seed=row)):
            picture.paste(PIL.Image.fromarray(image), (LABEL + column * SIZE, row * SIZE))
    return picture.quantize(160)


if __name__ == "__main__":
    draw().save(pathlib.Path(__file__).with_suffix(".png"), optimize=True)
