"""Train bvlc_googlenet on ImageNet as the solvers of Caffe's Model Zoo do.

Command    python -m launch.train --config=configs/bvlc.py --workdir=DIR --config.data.path=IMAGENET
           --config=configs/bvlc.py:solver=full for the longer solver. configs/imagenet.py has larger batches,
           for the accelerators of today.
Source     train_val.prototxt, quick_solver.prototxt and solver.prototxt of bvlc_googlenet
Recipe     Images are stretched to 256x256, cropped to 224x224 at a random place, and mirrored. SGD with
           batches of 32, momentum 0.9, weight decay 2e-4 on kernels, and twice the rate for biases. Kernels
           are uniform in +-sqrt(3 / fan_in), biases start at 0.2, those of the last layers at 0.
           quick: 2,400,000 steps, rate 0.01 * (1 - t/T)^0.5
           full: 10,000,000 steps, rate 0.01 * 0.96^floor(t / 320,000)
Differs    Caffe scales each gradient by the rate before it enters the momentum. Optax scales the momentum, so
           a change of the rate acts at once.
Check      The losses of the first 50 steps are those of a restatement in PyTorch, up to rounding:
           tests/configs/test_bvlc_in_torch.py
Hardware   Any, since the batch is small. quick reads 76.8 million images: 21 hours at 1,000 images/s.
Expect     quick: 68.7% top-1 and 88.9% top-5, as BVLC publishes. We have not yet run it.
"""

from typing import Literal

from ml_collections import ConfigDict


def get_config(solver: Literal["quick", "full"] = "quick") -> ConfigDict:
    is_quick = solver == "quick"
    config = ConfigDict()
    config.seed = 0
    config.batch_size = 32
    config.duration = "2400000 steps" if is_quick else "10000000 steps"
    config.log_every = "40 steps"

    config.model = ConfigDict()
    config.model.variant = "bvlc"
    config.model.num_classes = 1000
    config.model.initializer = "lecun"
    config.model.initial_bias = 0.2

    config.data = ConfigDict()
    config.data.source = "image_folder"
    config.data.image_size = 224
    config.data.resize = 256
    config.data.train_crop = "random"

    config.optimizer = ConfigDict()
    config.optimizer.learning_rate = 0.01
    config.optimizer.momentum = 0.9
    config.optimizer.weight_decay = 2e-4
    config.optimizer.rates = (("*/bias", 2.0),)

    config.schedule = ConfigDict()
    config.schedule.name = "polynomial" if is_quick else "step"
    config.schedule.power = 0.5
    config.schedule.decay_rate = 0.96
    config.schedule.decay_every = "320000 steps"

    config.evaluation = ConfigDict()
    config.evaluation.batch_size = 50
    return config
