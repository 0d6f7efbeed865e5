"""Fine-tune a checkpoint on a folder of images.

Command    python -m launch.train --config=configs/fine_tune.py --workdir=DIR \
               --config.init_from=CHECKPOINT --config.data.path=PHOTOS
Data       PHOTOS/CLASS/*.jpg, with a fifth of each class held out for validation, or
           PHOTOS/train/CLASS/*.jpg and PHOTOS/val/CLASS/*.jpg
Network    The network and the preprocessing of CHECKPOINT. If the number of classes differs,
           the last layers start from new weights.
Recipe     SGD with momentum 0.9 and a cosine schedule from 0.001 over 10 epochs. The stem
           and inception_3a and 3b stay frozen; the last layers learn 10 times as fast. The
           layers of VGG-16 have other names: --config.optimizer.freeze="conv[12]*"
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
    config.model.num_classes = 0  # the number of class directories

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
    config.optimizer.rates = (("*head/*", 10.0),)  # matches aux_4a/head and aux_4d/head too

    config.schedule = ConfigDict()
    config.schedule.name = "cosine"
    config.schedule.warmup = "1 epoch"
    return config
