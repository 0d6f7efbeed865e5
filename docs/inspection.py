"""Draw docs/inspect.png: pictures of a network that is first trained on digits at random places of a canvas.

python -m docs.inspection --workdir=runs/scattered_digits
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


def write_scattered_digits(directory: pathlib.Path) -> None:
    """Write an image folder of the embedded digits, each at a random place of a black canvas."""
    draw = np.random.RandomState(0)
    for split in ("train", "val"):
        source = MnistSample(split)
        for name in source.class_names:
            (directory / split / name).mkdir(parents=True, exist_ok=True)
        for index in range(len(source)):
            example = source[index]
            canvas = np.zeros((CANVAS, CANVAS, 3), np.uint8)
            top, left = draw.randint(0, CANVAS - DIGIT + 1, 2)
            canvas[top : top + DIGIT, left : left + DIGIT] = decode(example.encoded, example.name)
            name = source.class_names[example.label]
            cv2.imwrite(str(directory / split / name / f"{index:04}.png"), canvas)


def get_config(data: pathlib.Path) -> ConfigDict:
    """Return the config of the embedded digits, changed to these images and batch normalization."""
    config = mnist_sample.get_config()
    config.duration = "200 steps"
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
