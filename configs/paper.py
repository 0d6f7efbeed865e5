"""Train the paper's network on ImageNet as the paper says, as far as it does.

Command    python -m launch.train --config=configs/paper.py --workdir=DIR --config.data.path=IMAGENET
Source     Szegedy et al. 2014, "Going deeper with convolutions", sections 5 and 6
Paper      Section 5: dropout of 40%, and of 70% in the auxiliary heads, whose losses have the weight 0.3.
           Section 6: SGD with momentum 0.9; the rate falls by 4% every 8 epochs, without a warm-up; Polyak
           averaging makes the final weights; crops of 8% to 100% of the area, with aspect ratios of 3/4 to
           4/3; the photometric distortions of Howard 2013; bilinear, area, nearest or cubic interpolation,
           drawn with equal probability.
Howard     Brightness, contrast and saturation change by up to 50%, and the lighting noise of Krizhevsky 2012,
           with a deviation of 0.1, is added.
Ours       The paper leaves these open. From BVLC's full solver: batches of 32, the rate 0.01 at the start,
           250 epochs, and weight decay 2e-4 on kernels. From no source: He initialization, which keeps the
           variance through 22 ReLU layers, biases from 0, flips, and averaging over the last 25 epochs.
Differs    The paper trained with asynchronous SGD on CPUs, and added the interpolation late.
Hardware   Any, since the batch is small. The run reads 320 million images: 89 hours at 1,000 images/s.
Expect     10.07% top-5 error, as the paper has for one network and one crop. We have not yet run it.
"""

from ml_collections import ConfigDict


def get_config() -> ConfigDict:
    config = ConfigDict()
    config.seed = 0
    config.batch_size = 32
    config.duration = "250 epochs"
    config.log_every = "100 steps"

    config.model = ConfigDict()
    config.model.variant = "paper"
    config.model.num_classes = 1000
    config.model.dropout = 0.4
    config.model.aux_dropout = 0.7
    config.model.initializer = "he"
    config.model.initial_bias = 0.0

    config.data = ConfigDict()
    config.data.source = "image_folder"
    config.data.train_crop = "random_resized"
    config.data.train_interpolation = "random"
    config.data.photometric = 0.5
    config.data.lighting = 0.1
    config.data.mirror = True

    config.loss = ConfigDict()
    config.loss.aux_weight = 0.3

    config.optimizer = ConfigDict()
    config.optimizer.learning_rate = 0.01
    config.optimizer.momentum = 0.9
    config.optimizer.weight_decay = 2e-4

    config.schedule = ConfigDict()
    config.schedule.name = "step"
    config.schedule.decay_rate = 0.96
    config.schedule.decay_every = "8 epochs"
    config.schedule.warmup = "0 steps"

    config.averaging = ConfigDict()
    config.averaging.kind = "polyak"
    config.averaging.start = "225 epochs"
    return config
