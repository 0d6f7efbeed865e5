"""Which data set a run has, so that it does not go on with another one unnoticed."""

from collections.abc import Mapping
from typing import Any

from flax_googlenet.data.examples import Source
from flax_googlenet.errors import UserError


def describe_data(sources: Mapping[str, Source]) -> dict[str, dict[str, Any]]:
    """Return what identifies the splits of a data set: "num_examples" and "digest" of each."""
    return {
        split: {"num_examples": len(source), "digest": source.digest} for split, source in sources.items()
    }


def check_same_data(
    recorded: Mapping[str, Mapping[str, Any]], present: Mapping[str, Mapping[str, Any]], workdir: object
) -> None:
    """Refuse to go on with a data set that is not the recorded one, wherever it lies.

    Args:
      recorded: of `describe_data`, from a checkpoint; {} if it is of a format without it.
      present: of `describe_data`.
      workdir: of the run.

    Raises:
      UserError: a split has another number of examples, or other ones.
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
