"""What a data set is to everything that reads one."""

import dataclasses
from typing import Protocol, runtime_checkable


@dataclasses.dataclass(frozen=True)
class Example:
    """An encoded image.

    Attributes:
      encoded: the bytes of an image file.
      label: index of its class.
      name: what to call it when it turns out to be broken.
    """

    encoded: bytes
    label: int
    name: str


@runtime_checkable
class Source(Protocol):
    """A split of a data set. Safe to read from several threads.

    Attributes:
      class_names: in the order of the labels.
      digest: changes when the examples do, or their order, and not when the data set moves.
    """

    class_names: tuple[str, ...]

    @property
    def digest(self) -> str:
        """See the class."""

    def __len__(self) -> int: ...

    def __getitem__(self, index: int) -> Example: ...
