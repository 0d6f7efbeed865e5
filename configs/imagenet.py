"""GoogLeNet on ImageNet, after BVLC's "quick" Caffe recipe: the base for ablations.

Command    python -m launch.train --config=configs/imagenet.py --workdir=DIR \
               --config.data.path=IMAGENET      (holds train/WNID/*.JPEG and val/WNID/*.JPEG)
           or from what launch.prepare made, see docs/imagenet.md: --config.data.source=tfds \
               --config.data.dataset=imagenet2012 --config.data.path=DATA_DIR
Variants   --config=configs/imagenet.py:variant=V for paper, bvlc (the default), torchvision,
           bn, naive or vgg16; their rows are in flax_googlenet/variants.py
Recipe     SGD, momentum 0.9, rate 0.01 for a batch of 32 and in proportion for others,
           falling as (1 - t/T)^0.5 over 60 epochs; L2 2e-4; Xavier, biases from 0.2
Expect     BVLC publishes 68.7 % top-1 and 88.9 % top-5 for it. Not yet run to its end
           here: no figure of ours stands beside theirs.
"""

from ml_collections import ConfigDict


def get_config(variant: str = "bvlc") -> ConfigDict:
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
    config.schedule.warmup = "1 epoch"  # the recipe has none; a scaled rate needs one

    config.evaluation = ConfigDict()
    config.evaluation.batch_size = 256
    return config
