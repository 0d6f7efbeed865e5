"""The space of a search as data: the config keys that vary, and the values of each."""

import dataclasses
import itertools
from collections.abc import Mapping
from typing import Any

from flax_googlenet.config import OPERATIONAL_KEYS
from flax_googlenet.config.kinds import Real, Whole, literal
from flax_googlenet.config.names import unknown_key
from flax_googlenet.config.schema import KEYS
from flax_googlenet.errors import UserError


@dataclasses.dataclass(frozen=True)
class Range:
    """All numbers between two bounds; for a key that takes whole numbers, all whole numbers.

    Attributes:
      low: the least number.
      high: the greatest number.
      log: whether the logarithm is uniform, as suits a learning rate.
    """

    low: float
    high: float
    log: bool = False

    def __contains__(self, value: Any) -> bool:
        return bool(self.low <= value <= self.high)

    @property
    def corners(self) -> tuple[Any, ...]:
        """The values with which to try what other keys allow."""
        return self.low, self.high


@dataclasses.dataclass(frozen=True, init=False)
class Choice:
    """A few values without an order, such as `Choice("polynomial", "cosine")`.

    Attributes:
      values: the values.
    """

    values: tuple[Any, ...]

    def __init__(self, *values: Any) -> None:
        object.__setattr__(self, "values", values)

    def __contains__(self, value: Any) -> bool:
        return value in self.values

    def __repr__(self) -> str:
        return f"Choice({', '.join(map(literal, self.values))})"

    @property
    def corners(self) -> tuple[Any, ...]:
        """The values with which to try what other keys allow."""
        return self.values


Domain = Range | Choice


@dataclasses.dataclass(frozen=True)
class Search:
    """A search for the values of config keys with the best top-1 accuracy.

    Attributes:
      base: name of a config in configs/, such as "mnist_sample", or the path of its file.
      space: the values of each key that varies, by its full name.
    """

    base: str
    space: Mapping[str, Domain]


def check_space(space: Mapping[str, Domain]) -> dict[str, Domain]:
    """Return a space whose values have the form that a resolved config has.

    Raises:
      UserError: if a key is unknown or has no effect on results, or if it does not accept all values.

    >>> check_space({"optimizer.momentum": Range(0, 0.99)})
    {'optimizer.momentum': Range(low=0.0, high=0.99, log=False)}
    >>> check_space({"optimizer.momentum": Range(0.9, 0.8)})
    Traceback (most recent call last):
    flax_googlenet.errors.UserError: config.optimizer.momentum is searched from 0.9 to 0.8; give the lower \
bound first.
    """
    if not space:
        raise UserError("The search varies no key; give its space at least one.")
    return {key: _check(key, domain) for key, domain in space.items()}


def _check(key: str, domain: Domain) -> Domain:
    if key not in KEYS:
        raise unknown_key(key)
    if key == "seed":
        raise UserError("The search varies the seed, which would only find a lucky one; leave it out.")
    if key in OPERATIONAL_KEYS:
        raise UserError(f"The search varies config.{key}, which changes no result; leave it out.")
    if isinstance(domain, Range):
        return _check_range(key, domain)
    if isinstance(domain, Choice):
        return _check_choice(key, domain)
    raise UserError(f"config.{key} is searched over {domain!r}; it must be a Range or a Choice.")


def _check_range(key: str, domain: Range) -> Range:
    kind = KEYS[key].kind
    if not isinstance(kind, Real | Whole):
        raise UserError(f"config.{key} must be {kind.phrase}, which has no Range; search over a Choice.")
    low, high = (_check_value(key, bound) for bound in (domain.low, domain.high))
    if not low < high:
        raise UserError(f"config.{key} is searched from {low} to {high}; give the lower bound first.")
    if domain.log and low <= 0:
        raise UserError(
            f"config.{key} is searched from {low}, which has no logarithm; begin above 0, or leave out log."
        )
    return Range(low, high, domain.log)


def _check_choice(key: str, domain: Choice) -> Choice:
    values = tuple(_check_value(key, value) for value in domain.values)
    if len(values) < 2:
        raise UserError(f"config.{key} is searched over {domain!r}, which leaves no choice; add a value.")
    for number, value in enumerate(values):
        if value in values[:number]:
            raise UserError(f"config.{key} is searched over {literal(value)} twice; name it once.")
    return Choice(*values)


def _check_value(key: str, value: Any) -> Any:
    try:
        return KEYS[key].check(value)
    except ValueError as error:
        raise UserError(f"In the space of the search: {error}") from None


def corners(space: Mapping[str, Domain], most: int = 200) -> list[dict[str, Any]]:
    """Return combinations of the choices and of the bounds of a space.

    Args:
      space: the values of each key.
      most: number of combinations at most.

    >>> corners({"optimizer.nesterov": Choice(False, True)})
    [{'optimizer.nesterov': False}, {'optimizer.nesterov': True}]
    """
    products = itertools.product(*(domain.corners for domain in space.values()))
    return [dict(zip(space, values, strict=True)) for values in itertools.islice(products, most)]
