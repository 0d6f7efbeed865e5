"""One host of several: prints the figures of an ensemble of two networks that nothing trained, with 10 crops.

`python -m tests.evaluation.host IMAGES PORT HOSTS HOST`
"""

import json
import sys

from flax_googlenet import Classifier, distributed, evaluate
from flax_googlenet.config import resolve
from flax_googlenet.models import GoogLeNet
from tests.support.networks import random_variables, shrink_table

CLASSES = ("ant", "bee", "cat")


def main() -> None:
    images, *numbers = sys.argv[1:]
    port, hosts, host = map(int, numbers)
    if hosts > 1:
        distributed.start(f"localhost:{port}", hosts, host)
    config = resolve(
        {
            "model": {"num_classes": len(CLASSES), "aux_heads": 2},
            "data": {"path": images, "image_size": 32, "resize": 36},
            "evaluation": {"batch_size": 240},
        }
    )
    model = GoogLeNet(num_classes=len(CLASSES), table=shrink_table(), aux_heads=2)
    ensemble = [
        Classifier(model, random_variables(model, seed), config, CLASSES, 1, (), f"seed-{seed}")
        for seed in (0, 1)
    ]
    figures = evaluate(ensemble, crops=10, aux_heads=True)
    distributed.finish()
    print(json.dumps(figures), flush=True)


if __name__ == "__main__":
    main()
