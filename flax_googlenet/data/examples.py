"""What a data set is to everything that reads one."""

import dataclasses
from typing import Protocol


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


class Source(Protocol):
    """A split of a data set. Safe to read from several threads."""

    class_names: tuple[str, ...]

    def __len__(self) -> int: ...

    def __getitem__(self, index: int) -> Example: ...
