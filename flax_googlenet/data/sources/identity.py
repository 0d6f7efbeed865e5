"""The identity of a data set, which keeps a run from resuming with another one."""

from collections.abc import Mapping
from typing import Any

from flax_googlenet.data.examples import Source
from flax_googlenet.errors import UserError


def describe_data(sources: Mapping[str, Source]) -> dict[str, dict[str, Any]]:
    """Return the identity of each split of a data set: its "num_examples" and "digest"."""
    return {
        split: {"num_examples": len(source), "digest": source.digest} for split, source in sources.items()
    }


def check_same_data(
    recorded: Mapping[str, Mapping[str, Any]], present: Mapping[str, Mapping[str, Any]], workdir: object
) -> None:
    """Check that a run resumes with the data set that it started with, wherever it is stored.

    Args:
      recorded: the result of `describe_data` in the checkpoint; {} for formats that lack it.
      present: the result of `describe_data` for the current data set.
      workdir: the workdir of the run.

    Raises:
      UserError: if the examples of a split differ.
    """
    for split, before in recorded.items():
        now = present[split]
        if before == now:
            continue
        if before["num_examples"] != now["num_examples"]:
            change = f"it had {before['num_examples']} examples and has {now['num_examples']}"
        else:
            change = f"its {now['num_examples']} examples are not the same"
        raise UserError(
            f'The data set of the run in {workdir} has changed in its split "{split}": {change}; restore it, '
            "or start a run in another workdir."
        )
