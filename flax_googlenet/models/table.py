"""The table that a network is built from."""

from typing import TypeVar

Row = TypeVar("Row", covariant=True)


class Table(tuple[Row, ...]):
    """Rows of a network. In a signature, or in the `repr` of a module, it is shown by its length."""

    def __repr__(self) -> str:
        return f"<table of {len(self)} rows>"
