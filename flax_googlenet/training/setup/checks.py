"""Checks that a run and its data are those of the checkpoint that it resumes from."""

from typing import Any

from etils import epath
from ml_collections import FrozenConfigDict

from flax_googlenet.checkpoints import Description
from flax_googlenet.config import first_difference, flatten, resolve
from flax_googlenet.data import Source, check_same_classes
from flax_googlenet.data.sources.identity import check_same_data, describe_data
from flax_googlenet.errors import UserError
from flax_googlenet.training.durations import Timetable


def check_same_experiment(config: FrozenConfigDict, recorded: Description, root: epath.Path) -> None:
    """Check that a checkpoint belongs to a run of the same experiment."""
    if not recorded.step:
        raise UserError(
            f"{root} holds imported weights, not a run; choose another workdir and start from them with "
            f"init_from={root}."
        )
    recorded_config = resolve(recorded.config)
    key = first_difference(recorded_config, config)
    if key is not None:
        recorded_value, value = (flatten(values)[key] for values in (recorded_config, config))
        raise UserError(
            f"{root} holds checkpoints of another experiment: config.{key} is {recorded_value!r} there and "
            f"{value!r} here; choose another workdir."
        )


def check_step(step: int, timetable: Timetable, config: FrozenConfigDict, root: epath.Path) -> None:
    """Check that a checkpoint is not past the end of the run, which a smaller data set can cause."""
    if step > timetable.total:
        raise UserError(
            f'The run in {root} is at step {step}, but config.duration "{config.duration}" ends at step '
            f"{timetable.total} with this data set; restore the data set that the run began with."
        )


def identify_data(
    train: Source, validation: Source, recorded: Description | None, root: epath.Path
) -> dict[str, Any]:
    """Describe the data set for checkpoints. If a run resumes, compare it with the recorded one."""
    check_same_classes(
        train.class_names,
        validation.class_names,
        "the training split",
        "the validation split",
        "give both the same classes",
    )
    data = describe_data({"train": train, "val": validation})
    if recorded:
        check_same_classes(
            recorded.class_names,
            train.class_names,
            f"the run in {root}",
            "the data set",
            "restore the data set, or start a run in another workdir",
        )
        check_same_data(recorded.data, data, root)
    return data
