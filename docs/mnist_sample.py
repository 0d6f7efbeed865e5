"""Draw docs/mnist_sample.png: the curves of the run of `make train`, which is trained first if it is missing.

python -m docs.mnist_sample --workdir=runs/mnist_sample
"""

import argparse
import io
import pathlib

import PIL.Image

import flax_googlenet
from configs import mnist_sample
from flax_googlenet.training.reporting.curves import draw_curves, title_of


def draw(workdir: pathlib.Path) -> PIL.Image.Image:
    """Draw the curves of a complete run from the history in its last checkpoint."""
    classifier = flax_googlenet.load(workdir)
    last = {"step": classifier.step, "top1": classifier.history[-1]["val/top1"]}
    encoded = io.BytesIO()
    draw_curves(classifier.history, title_of(classifier.config, last)).savefig(encoded)
    return PIL.Image.open(encoded).convert("RGB").quantize(64)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--workdir", type=pathlib.Path, default=pathlib.Path("runs/mnist_sample"))
    directory = parser.parse_args().workdir
    print(flax_googlenet.train(mnist_sample.get_config(), directory))
    draw(directory).save(pathlib.Path(__file__).with_suffix(".png"), optimize=True)
