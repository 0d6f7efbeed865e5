"""Train GoogLeNet on ImageNet, by one of the recipes or as the baseline for ablations.

Command    python -m launch.train --config=configs/imagenet.py --workdir=DIR \
               --config.data.path=IMAGENET      (with train/WNID/*.JPEG and val/WNID/*.JPEG)
           For a data set made by launch.prepare (docs/imagenet.md), add \
               --config.data.source=tfds --config.data.dataset=imagenet2012
Recipes    --config=configs/imagenet.py:recipe=R, where R is bvlc, paper or modern, is the config
           configs/R.py. Its docstring has the source and the result to expect.
Variants   --config=configs/imagenet.py:variant=V, where V is paper, bvlc (the default),
           torchvision, bn, naive or vgg16; see flax_googlenet/variants.py. Every recipe has a variant of its
           own, and :recipe=R,variant=V trains another one by it.
Baseline   Without a recipe: SGD with momentum 0.9 over 60 epochs. The learning rate is 0.01 for a batch of
           32, scaled in proportion, and decays as (1 - t/T)^0.5, as in BVLC's "quick" solver. Weight decay
           2e-4, Xavier initialization, biases start at 0.2. Crops of random sizes, as in the paper.
Expect     about the 68.7% top-1 and 88.9% top-5 that BVLC publishes. We have not yet run it to the end.
"""

from typing import Literal

from ml_collections import ConfigDict

from configs import bvlc, modern, paper


def get_config(
    variant: str = "", *, recipe: Literal["baseline", "bvlc", "paper", "modern"] = "baseline"
) -> ConfigDict:
    if recipe == "baseline":
        return _baseline(variant or "bvlc")
    config = {"bvlc": bvlc, "paper": paper, "modern": modern}[recipe].get_config()
    config.model.variant = variant or config.model.variant
    return config


def _baseline(variant: str) -> ConfigDict:
    config = ConfigDict()
    config.seed = 0
    config.batch_size = 256
    config.duration = "60 epochs"
    config.log_every = "100 steps"

    config.model = ConfigDict()
    config.model.variant = variant
    config.model.num_classes = 1000
    config.model.initializer = "xavier"
    config.model.initial_bias = 0.2 if variant == "bvlc" else 0.0

    config.data = ConfigDict()
    config.data.source = "image_folder"
    config.data.image_size = 224
    config.data.resize = 256

    config.optimizer = ConfigDict()
    config.optimizer.learning_rate = 0.01
    config.optimizer.learning_rate_batch = 32
    config.optimizer.momentum = 0.9
    config.optimizer.weight_decay = 2e-4

    config.schedule = ConfigDict()
    config.schedule.name = "polynomial"
    config.schedule.power = 0.5
    config.schedule.warmup = "1 epoch"  # not in the recipe, but needed with the scaled rate

    config.evaluation = ConfigDict()
    config.evaluation.batch_size = 256
    return config
