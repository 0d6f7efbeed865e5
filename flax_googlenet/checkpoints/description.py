"""The description of a checkpoint, and how earlier formats are read."""

import dataclasses
import importlib.metadata
import json
from collections.abc import Mapping, Sequence
from typing import Any

from etils import epath

from flax_googlenet.errors import UserError

# Format 1 has other names for some keys of the config. Format 2 has no batch statistics of averaged weights
# and no record of the data set. Format 3 has no `unreported` and no `unevaluated`, since preempted runs saved
# nothing.
FORMAT = 4


@dataclasses.dataclass(frozen=True)
class Description:
    """The description stored in a checkpoint.

    Attributes:
      step: the number of updates made.
      config: the resolved config, as plain dictionaries and lists.
      class_names: the names of the classes, in the order of the logits.
      history: the records of metrics.jsonl up to this step.
      result: the result line of the run, or {} before its end.
      origin: the source of imported weights, or of those that the run started from: "source", "file",
        "sha256", "licence" and so on.
      unreported: the metrics of the steps since the last record, if the run was preempted between two.
      unevaluated: whether the run was preempted before it had completed the evaluation due at this step.
      data: "num_examples" and "digest" of the splits "train" and "val", as `describe_data` returns them;
        {} for imported weights and in formats 1 and 2.
      versions: the versions of the packages that wrote the checkpoint.
    """

    step: int
    config: Mapping[str, Any] = dataclasses.field(repr=False)
    class_names: tuple[str, ...] = dataclasses.field(repr=False)
    history: Sequence[Mapping[str, float]] = dataclasses.field(default=(), repr=False)
    unreported: Sequence[Mapping[str, int | float]] = dataclasses.field(default=(), repr=False)
    unevaluated: bool = False
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
    """Read the description of a checkpoint.

    Args:
      checkpoint: the directory of the checkpoint.

    Raises:
      UserError: if the description cannot be read, has a newer format, or contradicts itself or the name
        of the directory.
    """
    try:
        fields = json.loads((checkpoint / "description" / "metadata").read_text())
        version = fields.pop("format")
    except (OSError, ValueError, KeyError, AttributeError, TypeError) as error:
        raise _unreadable(checkpoint) from error
    if type(version) is not int or version < 1:
        raise UserError(
            f"{checkpoint} is not a checkpoint of flax_googlenet: its format is {version!r}, not a number."
        )
    if version > FORMAT:
        raise UserError(
            f"{checkpoint} has format {version}, newer than {FORMAT}, the latest that this version reads; "
            "update flax_googlenet."
        )
    try:
        if version == 1:
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
    lists, dictionaries = ("history", "unreported"), ("config", "result", "origin", "data")
    kinds: dict[str, Any] = {"step": int, "unevaluated": bool}
    kinds |= dict.fromkeys(lists, list | tuple) | dict.fromkeys(dictionaries, dict)
    for name, kind in kinds.items():
        if not isinstance(getattr(description, name), kind):
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
    """Return the section `model` of a config with the keys of the current format."""
    kept = {key: value for key, value in model.items() if key not in ("name", "dimension_reduction")}
    reduces = dict.fromkeys(("reduce3x3", "reduce5x5", "project_pool"), model["dimension_reduction"])
    return {**kept, **reduces, "aux_heads": 2 if model["aux_heads"] else 0}
