"""Fine-tuning on a folder of one's own images, from a checkpoint of any run.

Command    python -m launch.train --config=configs/fine_tune.py --workdir=DIR \
               --config.init_from=CHECKPOINT --config.data.path=PHOTOS
Data       PHOTOS/CLASS/*.jpg, of which a fifth of each class is held out; or, already
           split, PHOTOS/train/CLASS/*.jpg and PHOTOS/val/CLASS/*.jpg
Network    that of CHECKPOINT, and its preprocessing. Last layers for another number of
           classes start fresh, and learn ten times as fast as the rest
Recipe     SGD, momentum 0.9, cosine from 0.001 over 10 epochs; the stem and the first two
           Inception modules stay frozen. VGG-16's layers have other names:
           --config.optimizer.freeze="conv[12]*"
"""

from ml_collections import ConfigDict


def get_config() -> ConfigDict:
    config = ConfigDict()
    config.seed = 0
    config.init_from = ""
    config.batch_size = 32
    config.duration = "10 epochs"
    config.log_every = "10 steps"

    config.model = ConfigDict()
    config.model.num_classes = 0  # as many as there are directories

    config.data = ConfigDict()
    config.data.source = "image_folder"
    config.data.train_crop = "random_resized"
    config.data.val_share = 0.2

    config.loss = ConfigDict()
    config.loss.label_smoothing = 0.1

    config.optimizer = ConfigDict()
    config.optimizer.learning_rate = 0.001
    config.optimizer.momentum = 0.9
    config.optimizer.weight_decay = 2e-4
    config.optimizer.clip_norm = 2.0
    config.optimizer.freeze = ("stem/*", "inception_3*")
    config.optimizer.rates = (("*head/*", 10.0),)  # aux_4a/head and aux_4d/head too

    config.schedule = ConfigDict()
    config.schedule.name = "cosine"
    config.schedule.warmup = "1 epoch"
    return config
