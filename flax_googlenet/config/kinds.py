"""Kinds of config values, with their checks and their descriptions in messages and documentation."""

import dataclasses
import difflib
import math
import numbers
import re
from typing import Any, Protocol

import numpy as np


class Kind(Protocol):
    """A set of acceptable values."""

    @property
    def phrase(self) -> str:
        """The end of a sentence that begins with "it must be"."""

    def convert(self, value: Any) -> Any:
        """Return a value in the form that a resolved config has.

        Raises:
          ValueError: if the value is not of this kind.
        """


def check(kind: Kind, value: Any, name: str, example: Any = "") -> Any:
    """Return a value in the form that a resolved config has.

    Args:
      kind: the kind that the value must be of.
      value: the value as the user wrote it.
      name: identifies the value in the message.
      example: a valid value for the message, unless the kind has its own example.

    Raises:
      ValueError: if the value is not of this kind. The message is one sentence.

    >>> check(Real(at_least=0, below=1), 1.5, "config.model.dropout", 0.4)
    Traceback (most recent call last):
    ValueError: config.model.dropout is 1.5; it must be a number of at least 0 and below 1, such as 0.4.
    """
    try:
        return kind.convert(value)
    except ValueError:
        raise ValueError(refusal(kind, value, name, example)) from None


def refusal(kind: Kind, value: Any, name: str, example: Any = "") -> str:
    """Return the message with which `check` refuses a value, given the same arguments."""
    sentence = f"{name} is {value!r}; it must be {kind.phrase}"
    if isinstance(kind, Choice):
        return sentence + kind.nearest(value)
    example = getattr(kind, "example", example)
    return sentence + (f", such as {literal(example)}." if example not in ("", ()) else ".")


def literal(value: Any) -> str:
    """Return a value as Python code, with double quotes around strings.

    >>> print(literal(("stem/*", 0.5)))
    ("stem/*", 0.5)
    """
    return repr(value).replace("'", '"')


@dataclasses.dataclass(frozen=True, kw_only=True)
class _Bounded:
    """A finite number between optional bounds.

    Attributes:
      at_least, at_most: inclusive bounds.
      above, below: exclusive bounds.
    """

    at_least: float | None = None
    above: float | None = None
    at_most: float | None = None
    below: float | None = None

    @property
    def bounds(self) -> str:
        """The bounds in words, such as "of at least 0 and below 1", or an empty string."""
        if self.at_least is not None and self.at_most is not None:
            return f"between {self.at_least} and {self.at_most}"
        bounds = {
            "of at least": self.at_least,
            "above": self.above,
            "at most": self.at_most,
            "below": self.below,
        }
        return " and ".join(f"{words} {bound}" for words, bound in bounds.items() if bound is not None)

    def _within(self, number: Any) -> Any:
        is_within = (
            math.isfinite(number)
            and (self.at_least is None or number >= self.at_least)
            and (self.above is None or number > self.above)
            and (self.at_most is None or number <= self.at_most)
            and (self.below is None or number < self.below)
        )
        if not is_within:
            raise ValueError
        return number


class Whole(_Bounded):
    """A whole number between optional bounds."""

    @property
    def phrase(self) -> str:
        """The end of a sentence that begins with "it must be"."""
        return f"a whole number {self.bounds}".strip()

    def convert(self, value: Any) -> int:
        """Return the value as an int."""
        if isinstance(value, bool) or not isinstance(value, numbers.Integral):
            raise ValueError
        number: int = self._within(int(value))
        return number


class Real(_Bounded):
    """A finite real number between optional bounds."""

    @property
    def phrase(self) -> str:
        """The end of a sentence that begins with "it must be"."""
        is_closed = self.at_most is not None or self.below is not None
        return f"a {'' if is_closed else 'finite '}number {self.bounds}".strip()

    def convert(self, value: Any) -> float:
        """Return the value as a float."""
        if isinstance(value, bool) or not isinstance(value, numbers.Real):
            raise ValueError
        try:
            number = float(value)
        except OverflowError:
            number = math.inf
        with np.errstate(over="ignore"):
            self._within(np.float32(number))  # devices compute in float32, where 0.99999999 is 1
        result: float = self._within(number)
        return result


class Color(_Bounded):
    """Three finite numbers, for red, green and blue."""

    @property
    def phrase(self) -> str:
        """The end of a sentence that begins with "it must be"."""
        return f"three finite numbers {self.bounds}".strip()

    def convert(self, value: Any) -> tuple[float, ...]:
        """Return the value as a tuple of three floats."""
        if not isinstance(value, list | tuple) or len(value) != 3:
            raise ValueError
        bounds = {field.name: getattr(self, field.name) for field in dataclasses.fields(self)}
        return tuple(map(Real(**bounds).convert, value))


class Switch:
    """A Boolean."""

    phrase = "true or false"

    def convert(self, value: Any) -> bool:
        """Return the value unchanged."""
        if not isinstance(value, bool):
            raise ValueError
        return value


class Text:
    """Any string. Numbers are converted, since a path such as 7 may be written without quotes."""

    phrase = "a string"

    def convert(self, value: Any) -> str:
        """Return the value as a string."""
        if isinstance(value, bool) or not isinstance(value, str | int | float):
            raise ValueError
        return str(value)


class Choice:
    """One of a few strings or numbers."""

    def __init__(self, *choices: str | int) -> None:
        self.choices = choices

    @property
    def phrase(self) -> str:
        """The end of a sentence that begins with "it must be"."""
        *others, last = (f'"{choice}"' if isinstance(choice, str) else str(choice) for choice in self.choices)
        return f"{', '.join(others)} or {last}"

    def convert(self, value: Any) -> Any:
        """Return the value unchanged."""
        if not any(type(value) is type(choice) and value == choice for choice in self.choices):
            raise ValueError
        return value

    def nearest(self, value: Any) -> str:
        """Return the end of a sentence, which suggests the closest choice if one is similar."""
        names = [choice for choice in self.choices if isinstance(choice, str)]
        matches = difflib.get_close_matches(str(value), names, n=1)
        return f'; did you mean "{matches[0]}"?' if matches else "."


_DURATION = re.compile(r"\s*([0-9.]+(?:[eE][+-]?[0-9]+)?)\s+(step|epoch|example)s?\s*")


def parse_duration(duration: str) -> tuple[float, str]:
    """Return the number and the unit ("step", "epoch" or "example") of a duration.

    Raises:
      ValueError: if the string is not a duration or not finite.

    >>> parse_duration("1e4 examples")
    (10000.0, 'example')
    """
    match = _DURATION.fullmatch(duration)
    try:
        amount = float(match[1]) if match else math.nan
    except ValueError:  # two points, as in 1.2.3
        amount = math.nan
    if match is None or not math.isfinite(amount):
        raise ValueError(f'"{duration}" is not a duration; write it like "10 epochs" or "500 steps".')
    return amount, match[2]


@dataclasses.dataclass(frozen=True)
class Duration:
    """A length of training with its unit, such as "500 steps", "1 epoch" or "1.5e6 examples"."""

    can_be_zero: bool = False

    @property
    def phrase(self) -> str:
        """The end of a sentence that begins with "it must be"."""
        return f"a duration{'' if self.can_be_zero else ' above 0'} in steps, epochs or examples"

    def convert(self, value: Any) -> str:
        """Return the string unchanged."""
        if not isinstance(value, str):
            raise ValueError
        amount, _ = parse_duration(value)
        if not amount and not self.can_be_zero:
            raise ValueError
        return value


class Patterns:
    """Patterns of parameter names. A single pattern may be a plain string."""

    phrase = "patterns of parameter names"
    example = ("stem/*", "inception_3*")

    def convert(self, value: Any) -> tuple[str, ...]:
        """Return the patterns as a tuple."""
        patterns = (value,) if isinstance(value, str) else value
        if not isinstance(patterns, list | tuple):
            raise ValueError
        if not all(isinstance(pattern, str) and pattern for pattern in patterns):
            raise ValueError
        return tuple(patterns)


class Rates:
    """Pairs of a pattern of parameter names and a factor."""

    phrase = "pairs of a pattern of parameter names and a factor above 0"
    example = (("head/*", 10.0),)

    def convert(self, value: Any) -> tuple[tuple[str, float], ...]:
        """Return the pairs as a tuple of tuples."""
        if not isinstance(value, list | tuple):
            raise ValueError
        return tuple(map(self._pair, value))

    def _pair(self, value: Any) -> tuple[str, float]:
        if not isinstance(value, list | tuple) or len(value) != 2:
            raise ValueError
        pattern, factor = value
        if not isinstance(pattern, str) or not pattern:
            raise ValueError
        return pattern, Real(above=0).convert(factor)
