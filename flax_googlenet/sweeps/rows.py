"""The rows of a sweep as data."""

import dataclasses
from collections.abc import Mapping
from types import MappingProxyType
from typing import Any

from flax_googlenet.errors import UserError

SELECTIONS = ("all", "quick")

# What `rows=quick` changes in every row: minutes per run on two CPU cores with configs/mnist_sample.py.
QUICK: Mapping[str, Any] = MappingProxyType({"duration": "1 epoch"})


@dataclasses.dataclass(frozen=True)
class Row:
    """A row of a sweep: an experiment, as its differences from the others.

    Attributes:
      name: name of the row, and of the directory of its runs: lower-case letters, digits, "_", "-" and ".".
      overrides: values of config keys by their full names, such as {"model.aux_heads": 0}.
      note: what the row shows, or the claim that it tests.
      quick: whether `rows=quick` includes the row.
    """

    name: str
    overrides: Mapping[str, Any] = dataclasses.field(default_factory=dict)
    note: str = ""
    quick: bool = True


@dataclasses.dataclass(frozen=True)
class Sweep:
    """Experiments to compare.

    Attributes:
      base: name of a config in configs/, such as "mnist_sample", or the path of its file.
      rows: the experiments. The first one is the reference, to which the others are compared.
      selection: "all", or "quick" for the rows that are marked so, with the overrides `QUICK`.
      shared: overrides of all rows.
    """

    base: str
    rows: tuple[Row, ...]
    selection: str = "all"
    shared: Mapping[str, Any] = dataclasses.field(default_factory=dict)

    def __post_init__(self) -> None:
        if self.selection not in SELECTIONS:
            raise UserError(f'rows is "{self.selection}"; it must be "all" or "quick".')

    @property
    def chosen(self) -> tuple[Row, ...]:
        """The rows of the selection."""
        return tuple(row for row in self.rows if self.selection == "all" or row.quick)

    @property
    def overrides(self) -> dict[str, Any]:
        """The overrides of all rows of the selection."""
        return {**self.shared, **(QUICK if self.selection == "quick" else {})}


def paper_schedule(base: str) -> dict[str, Any]:
    """Return the overrides for the schedule of section 6, 4% less every 8 epochs.

    Args:
      base: name of the base config. The runs of "mnist_sample" are shorter than 8 epochs, so their rate is
        halved at every epoch instead.

    >>> [paper_schedule(base)["schedule.decay_every"] for base in ("imagenet", "mnist_sample")]
    ['8 epochs', '1 epoch']
    """
    rate, every = (0.5, "1 epoch") if base == "mnist_sample" else (0.96, "8 epochs")
    return {"schedule.name": "step", "schedule.decay_rate": rate, "schedule.decay_every": every}
