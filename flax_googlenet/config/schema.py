"""Every key of a config: its default, what it can be, and a line of help.

A variant's row in `VARIANTS` sets other defaults; `config.resolve` puts them together.
"""

import dataclasses
from typing import Any

from flax_googlenet.config.kinds import (
    Choice,
    Colour,
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
      name: with its section, such as "optimizer.momentum".
      default: where neither the config, nor its origin, nor its variant has a value.
      kind: what it can be.
      help: a line about it.
      operational: whether it may differ between a run and the one it resumes, because it
        changes no result.
    """

    name: str
    default: Any
    kind: Kind
    help: str
    operational: bool = False

    def check(self, value: Any, name: str = "") -> Any:
        """Return a value as the config holds it.

        Args:
          value: what was given.
          name: what the message calls it; "config.KEY" if empty.

        Raises:
          ValueError: the value means nothing; the message is one sentence.
        """
        return check(self.kind, value, name or f"config.{self.name}", self.default)

    def refusal(self, value: Any) -> str:
        """Return the sentence that says why a value is refused."""
        return refusal(self.kind, value, f"config.{self.name}", self.default)


_SHARE = Real(at_least=0, below=1)
_STRENGTH = Real(at_least=0, at_most=1)
_FROM_0 = Real(at_least=0)

_ROWS = (
    Key(
        "seed",
        0,
        Whole(at_least=0, at_most=2**63 - 1),  # as JAX and NumPy take them
        "of the initial weights, dropout, shuffling and crops",
    ),
    Key("init_from", "", Text(), "a run or checkpoint to take weights, network and preprocessing from"),
    Key("batch_size", 32, Whole(at_least=1), "over all devices and hosts"),
    Key("duration", "60 epochs", Duration(), "of the whole run"),
    Key("log_every", "50 steps", Duration(can_be_zero=True), "0: at every step", operational=True),
    Key("model.variant", "paper", Choice(*VARIANTS), "row of flax_googlenet/variants.py with other defaults"),
    Key("model.num_classes", 1000, Whole(at_least=0), "0: as many as the data set has"),
    Key(
        "model.normalization",
        "lrn",
        Choice("none", "lrn", "batch"),
        "lrn: at two places in the stem; batch: after every convolution",
    ),
    Key("model.lrn_divides_alpha", False, Switch(), "alpha / size, as Caffe, ONNX and PyTorch have it"),
    Key("model.batch_norm_epsilon", 1e-3, Real(above=0), "added to the variance"),
    Key("model.stem_reduce", True, Switch(), "the 1x1 convolution before the stem's 3x3"),
    Key("model.reduce3x3", True, Switch(), "the 1x1 convolution before a module's 3x3"),
    Key("model.reduce5x5", True, Switch(), "the 1x1 convolution before a module's 5x5"),
    Key(
        "model.project_pool",
        True,
        Switch(),
        "the 1x1 convolution after a module's pooling: Figure 2b; without all three, 2a",
    ),
    Key("model.third_kernel", 5, Choice(5, 3), '3: the "5x5" branch of torchvision and TF-slim'),
    Key(
        "model.conv_padding",
        "symmetric",
        Choice("symmetric", "same"),
        "symmetric: as Caffe and PyTorch pad; same: as TensorFlow does",
    ),
    Key("model.pool_rounding", "ceil", Choice("ceil", "floor"), "of the strided poolings' output size"),
    Key("model.pool4_window", 3, Choice(3, 2), "2: torchvision and TF-slim"),
    Key(
        "model.head",
        "average",
        Choice("average", "fully_connected"),
        "fully_connected: 1024 units on the flattened map in place of the average",
    ),
    Key("model.aux_heads", 2, Choice(2, 1, 0), "auxiliary classifiers; 1: aux_4d alone"),
    Key(
        "model.aux_pooling",
        "paper",
        Choice("paper", "adaptive"),
        "paper: 5x5 windows at stride 3; adaptive: PyTorch's windows",
    ),
    Key("model.dropout", 0.4, _SHARE, "share dropped before the last layer"),
    Key("model.aux_dropout", 0.7, _SHARE, "the same of the auxiliary heads"),
    Key("model.dtype", "float32", Choice("float32", "bfloat16"), "of activations"),
    Key("model.initializer", "xavier", Choice("xavier", "he"), "of the weights"),
    Key("model.initial_bias", 0.0, Real(), "BVLC starts every bias but the last layers' at 0.2"),
    Key(
        "data.source",
        "image_folder",
        Choice("image_folder", "tfds", "mnist_sample"),
        "where the images come from; mnist_sample: 5,000 digits of a Python package",
    ),
    Key(
        "data.path",
        "",
        Text(),
        "of an image folder: train/CLASS/*.jpg and val/CLASS/*.jpg, or CLASS/*.jpg; of tfds: its data_dir",
        operational=True,
    ),
    Key("data.dataset", "", Text(), "of tfds: imagenet2012, NAME/CONFIG:VERSION"),
    Key("data.train_split", "train", Text(), "of tfds, in its notation, such as train[:90%]"),
    Key("data.val_split", "validation", Text(), "of tfds: what is evaluated"),
    Key(
        "data.val_share",
        0.2,
        Real(above=0, below=1),
        "of each class of a folder that is CLASS/*.jpg: what is held out",
    ),
    Key("data.split_seed", 0, Whole(at_least=0, at_most=2**32 - 1), "which images of it are held out"),
    Key("data.image_size", 224, Whole(at_least=MIN_IMAGE_SIZE), "side in pixels of what the network gets"),
    Key("data.resize", 256, Whole(at_least=1), "shorter side in pixels before the centre crop"),
    Key("data.stretch", False, Switch(), "make both sides `resize` pixels long, whatever the aspect"),
    Key(
        "data.interpolation",
        "area",
        Choice("area", "linear", "antialias"),
        "linear: OpenCV's; antialias: Pillow's bilinear",
    ),
    Key("data.train_crop", "random_resized", Choice("random_resized", "center"), "of training images"),
    Key(
        "data.train_interpolation",
        "linear",
        Choice("linear", "area", "antialias", "nearest", "cubic", "random"),
        "of random_resized crops; random: as in the paper",
    ),
    Key("data.mirror", True, Switch(), "flip a random half of the training images"),
    # More augmentation of training images, on the device; 0 leaves it out. The order is that
    # of data/augmentation.py.
    Key("data.randaugment", 0, Whole(at_least=0), "operations on an image, of RandAugment's; usually 2"),
    Key("data.randaugment_magnitude", 9.0, Real(at_least=0, at_most=30), "how strong they are, of 30"),
    Key(
        "data.photometric",
        0.0,
        _STRENGTH,
        "brightness, contrast, saturation times 1 +- this; Howard's is 0.5",
    ),
    Key("data.lighting", 0.0, _FROM_0, "deviation of the noise in an image's colour; Krizhevsky's is 0.1"),
    Key("data.mixup", 0.0, _FROM_0, "alpha of the shares' Beta distribution, such as 0.2"),
    Key("data.cutmix", 0.0, _FROM_0, "the same of CutMix, such as 1.0; with both, a batch gets one of them"),
    Key("data.erasing", 0.0, _STRENGTH, "probability that an image loses a box, such as 0.25"),
    Key("data.erasing_fill", "noise", Choice("noise", "mean"), "what that box is filled with"),
    Key("data.mean", (123.675, 116.28, 103.53), Colour(), "of red, green, blue, in 0-255"),
    Key("data.std", (58.395, 57.12, 57.375), Colour(above=0), "of red, green, blue, in 0-255"),
    Key("data.channel_order", "rgb", Choice("rgb", "bgr"), "as the network gets them"),
    Key(
        "data.on_error",
        "raise",
        Choice("raise", "skip"),
        "at an image that cannot be decoded; skip: another takes its place",
    ),
    Key("data.workers", 0, Whole(at_least=0), "threads that decode; 0: one per core", operational=True),
    Key("data.prefetch", 4, Whole(at_least=1), "batches decoded ahead", operational=True),
    Key("loss.aux_weight", 0.3, _FROM_0, "of an auxiliary head's loss"),
    Key("loss.label_smoothing", 0.0, _STRENGTH, "share of the target that all classes divide"),
    Key("optimizer.learning_rate", 0.01, _FROM_0, "where the schedule starts"),
    Key(
        "optimizer.learning_rate_batch",
        0,
        Whole(at_least=0),
        "batch size that the rate is for; 0: whatever the batch size is",
    ),
    Key("optimizer.momentum", 0.9, _SHARE, "of SGD"),
    Key("optimizer.nesterov", False, Switch(), "Nesterov's form of the momentum"),
    Key("optimizer.weight_decay", 2e-4, _FROM_0, "added to the gradient, kernels only"),
    Key("optimizer.clip_norm", 0.0, _FROM_0, "of the whole gradient; 0: off"),
    Key(
        "optimizer.accumulate",
        1,
        Whole(at_least=1),
        "parts that a batch is computed in, one after the other",
    ),
    Key(
        "optimizer.freeze",
        (),
        Patterns(),
        'what stays as it is: patterns of parameters\' names; * stands for anything, "/" too',
    ),
    Key(
        "optimizer.rates",
        (),
        Rates(),
        'pairs ("head/*", 10.0): the first pattern that matches multiplies the rate',
    ),
    Key(
        "schedule.name",
        "polynomial",
        Choice("polynomial", "step", "cosine", "constant"),
        "how the learning rate falls",
    ),
    Key("schedule.warmup", "0 steps", Duration(can_be_zero=True), "linear from 0"),
    Key("schedule.power", 0.5, _FROM_0, "of polynomial"),
    # Above 1 the rate grows, as in a test of the range of learning rates.
    Key("schedule.decay_rate", 0.96, Real(above=0), "of step: factor at every decay"),
    Key("schedule.decay_every", "8 epochs", Duration(), "of step"),
    Key(
        "averaging.kind",
        "none",
        Choice("none", "ema", "polyak"),
        "of the weights; polyak: uniform",
    ),
    # With 0 the average is the weights themselves, with 1 it is Polyak's.
    Key("averaging.decay", 0.9999, Real(at_least=0, at_most=1), "of ema"),
    Key("averaging.start", "0 steps", Duration(can_be_zero=True), "when the average begins"),
    Key(
        "evaluation.every",
        "1 epoch",
        Duration(can_be_zero=True),
        "0: only at the end",
        operational=True,
    ),
    Key("evaluation.batch_size", 100, Whole(at_least=1), "over all devices and hosts", operational=True),
    Key("checkpoint.every", "1 epoch", Duration(can_be_zero=True), "0: only at the end", operational=True),
    Key("checkpoint.keep_last", 2, Whole(at_least=1), "how many of the latest stay", operational=True),
    Key("checkpoint.keep_best", 1, Whole(at_least=0), "how many of the best top-1 stay", operational=True),
)

KEYS: dict[str, Key] = {row.name: row for row in _ROWS}


def default_of(key: str) -> Any:
    """Return the default of a key, such as "model.dropout"."""
    return KEYS[key].default


def _nested(flat: dict[str, Any]) -> dict[str, Any]:
    nested: dict[str, Any] = {}
    for name, value in flat.items():
        section, _, key = name.rpartition(".")
        (nested.setdefault(section, {}) if section else nested)[key] = value
    return nested


DEFAULTS: dict[str, Any] = _nested({name: row.default for name, row in KEYS.items()})

# What may differ between a run and the one it resumes: none of it changes a result.
OPERATIONAL_KEYS = frozenset(name for name, row in KEYS.items() if row.operational)
