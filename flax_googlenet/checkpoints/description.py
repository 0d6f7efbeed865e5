"""What a checkpoint says of itself, and how former formats say it."""

import dataclasses
import importlib.metadata
import json
from collections.abc import Mapping, Sequence
from typing import Any

from etils import epath

from flax_googlenet.errors import UserError

# 1: the network's options had other names. 2: no batch statistics of averaged weights, no record of the data
# set.
FORMAT = 3


@dataclasses.dataclass(frozen=True)
class Description:
    """What a checkpoint says of itself.

    Attributes:
      step: number of updates made.
      config: the resolved config, plain.
      class_names: in the order of the logits.
      history: the records of metrics.jsonl so far.
      result: the run's result line if it was complete, else {}.
      origin: of weights that come from outside, or that began as such: "source", "file",
        "sha256", "licence" and the like.
      data: "num_examples" and "digest" of the splits "train" and "val", as
        `data.identity.describe_data` gives them; {} for imported weights and in formats 1 and 2.
      versions: of the packages that wrote it.
    """

    step: int
    config: Mapping[str, Any] = dataclasses.field(repr=False)
    class_names: tuple[str, ...] = dataclasses.field(repr=False)
    history: Sequence[Mapping[str, float]] = dataclasses.field(default=(), repr=False)
    result: Mapping[str, Any] = dataclasses.field(default_factory=dict)
    origin: Mapping[str, str] = dataclasses.field(default_factory=dict)
    data: Mapping[str, Mapping[str, Any]] = dataclasses.field(default_factory=dict)
    versions: Mapping[str, str] = dataclasses.field(default_factory=dict)

    def to_json(self) -> dict[str, Any]:
        """Return the content of the item `description`."""
        versions = {
            name: importlib.metadata.version(name) for name in ("jax", "flax", "optax", "orbax-checkpoint")
        }
        fields = dataclasses.asdict(dataclasses.replace(self, versions=versions))
        return {"format": FORMAT, **fields}


def describe(checkpoint: epath.Path) -> Description:
    """Read the description of the checkpoint in a directory (of `find`).

    Raises:
      UserError: it cannot be read, is of a newer format, or contradicts itself or the
        directory's name.
    """
    try:
        fields = json.loads((checkpoint / "description" / "metadata").read_text())
        written = fields.pop("format")
    except (OSError, ValueError, KeyError, AttributeError, TypeError) as error:
        raise _unreadable(checkpoint) from error
    if type(written) is not int or written < 1:
        raise UserError(
            f"{checkpoint} is not a checkpoint of flax_googlenet: its format is {written!r}, not a number."
        )
    if written > FORMAT:
        raise UserError(
            f"{checkpoint} has format {written}, newer than {FORMAT}, the last that this version reads; "
            "update flax_googlenet."
        )
    try:
        if written == 1:
            fields["config"]["model"] = _model_of_format_1(fields["config"]["model"])
        description = Description(**{**fields, "class_names": tuple(fields["class_names"])})
        _check_types(description)
    except (KeyError, TypeError) as error:
        raise _unreadable(checkpoint) from error
    _check_consistent(checkpoint, description)
    return description


def _unreadable(checkpoint: epath.Path) -> UserError:
    return UserError(f"{checkpoint} is not a checkpoint of flax_googlenet: its description cannot be read.")


def _check_types(description: Description) -> None:
    kinds = {"step": int, "config": dict, "history": list, "result": dict, "origin": dict, "data": dict}
    for name, kind in kinds.items():
        if not isinstance(getattr(description, name), kind | tuple if kind is list else kind):
            raise TypeError(name)
    if not all(isinstance(name, str) for name in description.class_names):
        raise TypeError("class_names")
    if not all(isinstance(record, dict) and "step" in record for record in description.history):
        raise TypeError("history")


def _check_consistent(checkpoint: epath.Path, description: Description) -> None:
    if checkpoint.name.isdigit() and int(checkpoint.name) != description.step:
        raise UserError(
            f"{checkpoint} holds step {description.step}, not {checkpoint.name}: it was renamed; rename "
            f"it to {checkpoint.parent / str(description.step)}."
        )
    classes = description.config.get("model", {}).get("num_classes")
    if classes is not None and classes != len(description.class_names):
        raise UserError(
            f"{checkpoint} is corrupt: it names {len(description.class_names)} classes and its network has "
            f"{classes}; use another checkpoint."
        )


def _model_of_format_1(model: Mapping[str, Any]) -> dict[str, Any]:
    """Return the section `model` with the names that this version gives its keys."""
    kept = {key: value for key, value in model.items() if key not in ("name", "dimension_reduction")}
    reduces = dict.fromkeys(("reduce3x3", "reduce5x5", "project_pool"), model["dimension_reduction"])
    return {**kept, **reduces, "aux_heads": 2 if model["aux_heads"] else 0}
