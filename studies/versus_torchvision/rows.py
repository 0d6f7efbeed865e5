"""The rows of the study, a line of data each."""

import dataclasses
from collections.abc import Mapping
from typing import Any

OURS, TORCH = "ours", "torch"


@dataclasses.dataclass(frozen=True)
class Row:
    """A network and how it is trained.

    Attributes:
      name: the name of the row, also of its directory.
      note: what it shows.
      overrides: config keys that differ from those of the study and of the recipe.
      trainer: OURS for our network and training step; TORCH for torchvision's network in PyTorch.
      own_initialization: whether torchvision initializes its network (normal with deviation 0.01). Otherwise
        it starts with the weights that ours has with the same seed.
      recipe: a file of configs/, FILE.py[:ARGUMENT=VALUE], whose network, augmentation, loss and averaging
        the row has; "" for the defaults.
      default: whether the study has the row unless --rows says otherwise.
      reference: the row that it is a change of and is compared with; all are compared with those in PyTorch.
    """

    name: str
    note: str
    overrides: Mapping[str, Any]
    trainer: str = OURS
    own_initialization: bool = False
    recipe: str = ""
    default: bool = False
    reference: str = ""


_PEER = {"model.variant": "torchvision"}
_NO_DROPOUT = {"model.dropout": 0.0, "model.aux_dropout": 0.0}
_BN = {"model.variant": "bn"}
_MODERN, _MODERN_FILE = {"model.dtype": "float32", "averaging.decay": 0.99}, "configs/modern.py"


def _bn(change: str, note: str, overrides: Mapping[str, Any]) -> Row:
    return Row(f"bn_{change}", note, {**_BN, **overrides}, reference="bn")


def _modern(change: str, note: str, overrides: Mapping[str, Any]) -> Row:
    overrides = {**_MODERN, **overrides}
    return Row(f"modern_{change}", note, overrides, recipe=_MODERN_FILE, reference="modern")


# fmt: off
_ROWS = (
    Row("torch", "torchvision's network in PyTorch, as torchvision initializes it.",
        _PEER, TORCH, own_initialization=True, default=True),
    Row("torch_our_weights", "The same with our initial weights; its dropout differs from ours.",
        _PEER, TORCH, default=True),
    Row("torchvision", "Our variant torchvision, the same network.", _PEER, default=True),
    Row("bn", "Our variant bn.", _BN, default=True),
    Row("torch_no_dropout", "torchvision's network with our initial weights, without dropout.",
        {**_PEER, **_NO_DROPOUT}, TORCH),
    Row("torchvision_no_dropout", "Our variant torchvision without dropout.", {**_PEER, **_NO_DROPOUT}),
    Row("torchvision_he", "Our variant torchvision, initialized by He's method.",
        {**_PEER, "model.initializer": "he"}),
    _bn("he", "bn, initialized by He's method.", {"model.initializer": "he"}),
    # The differences between bn and torchvision, one at a time, and the paper's dropout rate.
    _bn("third_3x3", "bn with torchvision's 3x3 filters in the third branch.", {"model.third_kernel": 3}),
    _bn("pool4_2x2", "bn with torchvision's last pooling.", {"model.pool4_window": 2}),
    _bn("adaptive", "bn with torchvision's pooling in the auxiliary heads.",
        {"model.aux_pooling": "adaptive"}),
    _bn("dropout_0.4", "bn with the paper's dropout rate.", {"model.dropout": 0.4}),
    _bn("pm1", "bn with inputs between -1 and 1, as torchvision has them.",
        {"data.mean": (127.5,) * 3, "data.std": (127.5,) * 3}),
    # The start of training, of which batch statistics are a part.
    _bn("warmup_2", "bn with a warm-up of two epochs.", {"schedule.warmup": "2 epochs"}),
    _bn("ema", "bn with averaged weights.", {"averaging.kind": "ema", "averaging.decay": 0.99}),
    _bn("smoothing", "bn with label smoothing.", {"loss.label_smoothing": 0.1}),
    Row("modern", "The network, augmentation, loss and averaging of configs/modern.py.",
        _MODERN, recipe=_MODERN_FILE),
    # The same without one of its ingredients.
    _modern("no_randaugment", "modern without RandAugment.", {"data.randaugment": 0}),
    _modern("no_mixup", "modern without mixup.", {"data.mixup": 0.0}),
    _modern("no_cutmix", "modern without CutMix.", {"data.cutmix": 0.0}),
    _modern("no_smoothing", "modern without label smoothing.", {"loss.label_smoothing": 0.0}),
    _modern("no_averaging", "modern without averaged weights.", {"averaging.kind": "none"}),
    _modern("xavier", "modern with Xavier's initialization.", {"model.initializer": "xavier"}),
    _modern("dropout_0.4", "modern with the paper's dropout rate.", {"model.dropout": 0.4}),
    Row("paper", "Our variant paper, with local response normalization.", {"model.initializer": "he"}),
)
# fmt: on

ROWS: dict[str, Row] = {row.name: row for row in _ROWS}
DEFAULT_ROWS = tuple(row.name for row in _ROWS if row.default)
