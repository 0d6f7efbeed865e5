"""Examples and sources: the interface between data sets and everything that reads them."""

import dataclasses
from typing import Protocol, runtime_checkable


@dataclasses.dataclass(frozen=True)
class Example:
    """An encoded image and its label.

    Attributes:
      encoded: the bytes of an image file.
      label: the index of its class.
      name: identifies the image in error messages.
    """

    encoded: bytes
    label: int
    name: str


@runtime_checkable
class Source(Protocol):
    """A split of a data set. It can be read from several threads.

    Attributes:
      class_names: the names of the classes, in the order of the labels.
      digest: identifies the examples and their order, wherever the data set is stored.
    """

    class_names: tuple[str, ...]

    @property
    def digest(self) -> str:
        """See the class."""

    def __len__(self) -> int: ...

    def __getitem__(self, index: int) -> Example: ...
