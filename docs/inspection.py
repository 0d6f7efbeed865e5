"""Draw docs/inspect.png: pictures of a network that is first trained on digits at random places of a canvas.

python -m docs.inspection --workdir=runs/scattered_digits

It trains for about ten minutes on two CPU cores.
"""

import argparse
import pathlib

import cv2
import numpy as np
import PIL.Image
from ml_collections import ConfigDict

import flax_googlenet
from configs import mnist_sample
from flax_googlenet.data.images.decoding import decode
from flax_googlenet.data.sources.mnist_sample import MnistSample
from flax_googlenet.inspection.inspect import inspect

CANVAS, DIGIT = 64, 28
PLACES = {"train": 3, "val": 1}  # of each digit; a network that has seen it at one learns the place, too


def write_scattered_digits(directory: pathlib.Path) -> None:
    """Write an image folder of the embedded digits, each at random places of black canvases."""
    draw = np.random.RandomState(0)
    for split, places in PLACES.items():
        source = MnistSample(split)
        for name in source.class_names:
            (directory / split / name).mkdir(parents=True, exist_ok=True)
        for index in range(len(source)):
            example = source[index]
            digit, name = decode(example.encoded, example.name), source.class_names[example.label]
            for place in range(places):
                canvas = np.zeros((CANVAS, CANVAS, 3), np.uint8)
                top, left = draw.randint(0, CANVAS - DIGIT + 1, 2)
                canvas[top : top + DIGIT, left : left + DIGIT] = digit
                cv2.imwrite(str(directory / split / name / f"{index:04}_{place}.png"), canvas)


def get_config(data: pathlib.Path) -> ConfigDict:
    """Return the config of the embedded digits, changed to these images and batch normalization."""
    config = mnist_sample.get_config()
    config.duration = "1000 steps"  # 200 steps are too few: 40% top-1, and Grad-CAM misses the digit
    config.model.normalization = "batch"
    config.data.update(
        {
            "source": "image_folder",
            "path": str(data.resolve()),
            "image_size": CANVAS,
            "resize": CANVAS,
            "mean": (6.4, 6.4, 6.4),
            "std": (38.0, 38.0, 38.0),
        }
    )
    config.optimizer.learning_rate = 0.03
    return config


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--workdir", type=pathlib.Path, default=pathlib.Path("runs/scattered_digits"))
    workdir = parser.parse_args().workdir
    if not (workdir / "data").exists():
        write_scattered_digits(workdir / "data")
    print(flax_googlenet.train(get_config(workdir / "data"), workdir / "run"))
    images = [sorted((workdir / "data/val" / name).iterdir())[0] for name in ("4", "7")]
    classifier = flax_googlenet.load(workdir / "run")
    *_, sheet = inspect(classifier, images, workdir / "pictures")["files"]
    PIL.Image.open(sheet).convert("RGB").quantize(64).save(
        pathlib.Path(__file__).with_name("inspect.png"), optimize=True
    )
