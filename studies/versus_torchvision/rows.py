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
    """

    name: str
    note: str
    overrides: Mapping[str, Any]
    trainer: str = OURS
    own_initialization: bool = False
    recipe: str = ""
    default: bool = False


_PEER = {"model.variant": "torchvision"}
_NO_DROPOUT = {"model.dropout": 0.0, "model.aux_dropout": 0.0}
_BN = {"model.variant": "bn"}
_MODERN, _MODERN_FILE = {"model.dtype": "float32", "averaging.decay": 0.99}, "configs/modern.py"

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
    Row("bn_he", "bn, initialized by He's method.", {**_BN, "model.initializer": "he"}),
    # The differences between bn and torchvision, one at a time.
    Row("bn_third_3x3", "bn with torchvision's 3x3 filters in the third branch.",
        {**_BN, "model.third_kernel": 3}),
    Row("bn_pool4_2x2", "bn with torchvision's last pooling.", {**_BN, "model.pool4_window": 2}),
    Row("bn_adaptive", "bn with torchvision's pooling in the auxiliary heads.",
        {**_BN, "model.aux_pooling": "adaptive"}),
    Row("bn_dropout_0.2", "bn with torchvision's dropout rate.", {**_BN, "model.dropout": 0.2}),
    Row("bn_pm1", "bn with inputs between -1 and 1, as torchvision has them.",
        {**_BN, "data.mean": (127.5,) * 3, "data.std": (127.5,) * 3}),
    # The start of training, of which batch statistics are a part.
    Row("bn_warmup_2", "bn with a warm-up of two epochs.", {**_BN, "schedule.warmup": "2 epochs"}),
    Row("bn_ema", "bn with averaged weights.", {**_BN, "averaging.kind": "ema", "averaging.decay": 0.99}),
    Row("bn_smoothing", "bn with label smoothing.", {**_BN, "loss.label_smoothing": 0.1}),
    Row("modern", "The network, augmentation, loss and averaging of configs/modern.py.",
        _MODERN, recipe=_MODERN_FILE),
    # The same without one of its ingredients.
    Row("modern_no_randaugment", "modern without RandAugment.",
        {**_MODERN, "data.randaugment": 0}, recipe=_MODERN_FILE),
    Row("modern_no_mixup", "modern without mixup.", {**_MODERN, "data.mixup": 0.0}, recipe=_MODERN_FILE),
    Row("modern_no_cutmix", "modern without CutMix.", {**_MODERN, "data.cutmix": 0.0}, recipe=_MODERN_FILE),
    Row("modern_no_smoothing", "modern without label smoothing.",
        {**_MODERN, "loss.label_smoothing": 0.0}, recipe=_MODERN_FILE),
    Row("modern_no_averaging", "modern without averaged weights.",
        {**_MODERN, "averaging.kind": "none"}, recipe=_MODERN_FILE),
    Row("modern_xavier", "modern with Xavier's initialization.",
        {**_MODERN, "model.initializer": "xavier"}, recipe=_MODERN_FILE),
    Row("modern_dropout_0.4", "modern with the dropout rate of bn.",
        {**_MODERN, "model.dropout": 0.4}, recipe=_MODERN_FILE),
    Row("paper", "Our variant paper, with local response normalization.", {"model.initializer": "he"}),
)
# fmt: on

ROWS: dict[str, Row] = {row.name: row for row in _ROWS}
DEFAULT_ROWS = tuple(row.name for row in _ROWS if row.default)
