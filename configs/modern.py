"""Train the batch-normalized network on ImageNet with a modern recipe, to beat its published accuracy.

Command    python -m launch.train --config=configs/modern.py --workdir=DIR --config.data.path=IMAGENET
           python -m launch.evaluate --checkpoint=DIR --config.data.image_size=224 --config.data.resize=256
Source     [W] Wightman et al. 2021, "ResNet strikes back", procedure A2
           [V] the recipe of torchvision's ResNet-50, pytorch/vision#3995, "New Recipe + FixRes mitigations"
           [T] Touvron et al. 2019, "Fixing the train-test resolution discrepancy", section 3
Recipe     300 epochs [W]. SGD with momentum 0.9; the rate is 0.5 for a batch of 1024 and follows a cosine
           after a warm-up of 5 epochs [V]. Weight decay on kernels only, not on norms and biases [V]. Label
           smoothing 0.1, mixup 0.2 and CutMix 1.0 [V]; RandAugment [W]; an exponential average of the
           weights [V]. Random crops show objects larger than center crops do, so training at 192 pixels is
           for evaluation at 224 [T]. During the run, evaluation takes 192 pixels of images resized to 224.
Ours       The variant bn; Nesterov momentum; weight decay 5e-5; two operations of magnitude 6; the decay
           0.9999 of the average; He initialization; dropout 0.2, since the augmentation regularizes too;
           bfloat16. [W] uses LAMB. To try it, set optimizer.name=lamb, and tune its rate and weight decay.
Pending    No ingredient has been measured on this network. The study of ingredients decides which ones stay.
Hardware   One GPU or TPU slice that holds batches of 1024 in bfloat16. The run reads 384 million images:
           10.7 hours at 10,000 images/s. We have measured no accelerator.
Expect     more than the 72.89% top-1 of MindCV and the 91.17% top-5 of GluonCV. We have not yet run it.
"""

from ml_collections import ConfigDict


def get_config() -> ConfigDict:
    config = ConfigDict()
    config.seed = 0
    config.batch_size = 1024
    config.duration = "300 epochs"
    config.log_every = "100 steps"

    config.model = ConfigDict()
    config.model.variant = "bn"
    config.model.num_classes = 1000
    config.model.dropout = 0.2
    config.model.dtype = "bfloat16"
    config.model.initializer = "he"

    config.data = ConfigDict()
    config.data.source = "image_folder"
    config.data.image_size = 192
    config.data.resize = 224
    config.data.randaugment = 2
    config.data.randaugment_magnitude = 6.0
    config.data.mixup = 0.2
    config.data.cutmix = 1.0

    config.loss = ConfigDict()
    config.loss.label_smoothing = 0.1

    config.optimizer = ConfigDict()
    config.optimizer.name = "sgd"
    config.optimizer.learning_rate = 0.5
    config.optimizer.learning_rate_batch = 1024
    config.optimizer.momentum = 0.9
    config.optimizer.nesterov = True
    config.optimizer.weight_decay = 5e-5

    config.schedule = ConfigDict()
    config.schedule.name = "cosine"
    config.schedule.warmup = "5 epochs"

    config.averaging = ConfigDict()
    config.averaging.kind = "ema"
    config.averaging.decay = 0.9999

    config.evaluation = ConfigDict()
    config.evaluation.batch_size = 256
    return config
