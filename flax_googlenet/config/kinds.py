"""Kinds of values that a config has, and what each kind accepts."""

import dataclasses
import difflib
import math
import numbers
import re
from typing import Any, Protocol

import numpy as np


class Kind(Protocol):
    """What a value must be, as a phrase for messages and for the documentation."""

    @property
    def phrase(self) -> str:
        """How "it must be ..." goes on."""

    def convert(self, value: Any) -> Any:
        """Return the value as the config holds it.

        Raises:
          ValueError: the value is not of this kind.
        """


def check(kind: Kind, value: Any, name: str, example: Any = "") -> Any:
    """Return a value as the config holds it.

    Args:
      kind: what it must be.
      value: what was given.
      name: what the message calls it.
      example: a value that would do, unless the kind has its own.

    Raises:
      ValueError: the value is not of this kind; the message is one sentence.

    >>> check(Real(at_least=0, below=1), 1.5, "config.model.dropout", 0.4)
    Traceback (most recent call last):
    ValueError: config.model.dropout is 1.5; it must be a number of at least 0 and below 1, such as 0.4.
    """
    try:
        return kind.convert(value)
    except ValueError:
        raise ValueError(refusal(kind, value, name, example)) from None


def refusal(kind: Kind, value: Any, name: str, example: Any = "") -> str:
    """Return the sentence that says why a value is refused; arguments as of `check`."""
    sentence = f"{name} is {value!r}; it must be {kind.phrase}"
    if isinstance(kind, Choice):
        return sentence + kind.nearest(value)
    example = getattr(kind, "example", example)
    such_as = ", such as " + repr(example).replace("'", '"') if example not in ("", ()) else ""
    return f"{sentence}{such_as}."


@dataclasses.dataclass(frozen=True, kw_only=True)
class _Bounded:
    """Bounds of a number, which is never infinite and never NaN.

    Attributes:
      at_least, at_most: bounds that the number may have.
      above, below: bounds that it may not have.
    """

    at_least: float | None = None
    above: float | None = None
    at_most: float | None = None
    below: float | None = None

    @property
    def bounds(self) -> str:
        """The bounds in words, such as "of at least 0 and below 1"; empty without any."""
        if self.at_least is not None and self.at_most is not None:
            return f"between {self.at_least} and {self.at_most}"
        words = {"of at least": self.at_least, "above": self.above, "at most": self.at_most}
        words["below"] = self.below
        return " and ".join(f"{word} {bound}" for word, bound in words.items() if bound is not None)

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
    """A whole number."""

    @property
    def phrase(self) -> str:
        """How "it must be ..." goes on."""
        return f"a whole number {self.bounds}".strip()

    def convert(self, value: Any) -> int:
        """Return an int."""
        if isinstance(value, bool) or not isinstance(value, numbers.Integral):
            raise ValueError
        number: int = self._within(int(value))
        return number


class Real(_Bounded):
    """A finite number; a whole one does as well."""

    @property
    def phrase(self) -> str:
        """How "it must be ..." goes on."""
        is_closed = self.at_most is not None or self.below is not None
        return f"a {'' if is_closed else 'finite '}number {self.bounds}".strip()

    def convert(self, value: Any) -> float:
        """Return a float."""
        if isinstance(value, bool) or not isinstance(value, numbers.Real):
            raise ValueError
        try:
            number = float(value)
        except OverflowError:
            number = math.inf
        with np.errstate(over="ignore"):
            self._within(np.float32(number))  # as the devices have it: 0.99999999 is 1 there
        result: float = self._within(number)
        return result


class Colour(_Bounded):
    """A number for each of red, green and blue."""

    @property
    def phrase(self) -> str:
        """How "it must be ..." goes on."""
        return f"three finite numbers {self.bounds}".strip()

    def convert(self, value: Any) -> tuple[float, ...]:
        """Return three floats."""
        if not isinstance(value, list | tuple) or len(value) != 3:
            raise ValueError
        bounds = {field.name: getattr(self, field.name) for field in dataclasses.fields(self)}
        return tuple(map(Real(**bounds).convert, value))


class Switch:
    """True or false."""

    phrase = "true or false"

    def convert(self, value: Any) -> bool:
        """Return the value itself."""
        if not isinstance(value, bool):
            raise ValueError
        return value


class Text:
    """Any string. A number is one too: the command line reads the path 0001 as one."""

    phrase = "a string"

    def convert(self, value: Any) -> str:
        """Return a string."""
        if isinstance(value, bool) or not isinstance(value, str | int | float):
            raise ValueError
        return str(value)


class Choice:
    """One of a few values."""

    def __init__(self, *choices: str | int) -> None:
        self.choices = choices

    @property
    def phrase(self) -> str:
        """How "it must be ..." goes on."""
        *others, last = (f'"{choice}"' if isinstance(choice, str) else str(choice) for choice in self.choices)
        return f"{', '.join(others)} or {last}"

    def convert(self, value: Any) -> Any:
        """Return the value itself."""
        if not any(type(value) is type(choice) and value == choice for choice in self.choices):
            raise ValueError
        return value

    def nearest(self, value: Any) -> str:
        """The end of a sentence: the choice that was meant, where one is near."""
        words = [choice for choice in self.choices if isinstance(choice, str)]
        nearest = difflib.get_close_matches(str(value), words, n=1)
        return f'; did you mean "{nearest[0]}"?' if nearest else "."


_DURATION = re.compile(r"\s*([0-9.]+(?:[eE][+-]?[0-9]+)?)\s+(step|epoch|example)s?\s*")


def parse_duration(duration: str) -> tuple[float, str]:
    """Return the number and the unit ("step", "epoch" or "example") of a duration.

    Raises:
      ValueError: the string is not a duration, or not a finite one.

    >>> parse_duration("1e4 examples")
    (10000.0, 'example')
    """
    match = _DURATION.fullmatch(duration)
    try:
        amount = float(match[1]) if match else math.nan
    except ValueError:  # 1.2.3
        amount = math.nan
    if match is None or not math.isfinite(amount):
        raise ValueError(f'"{duration}" is not a duration; write it like "10 epochs" or "500 steps".')
    return amount, match[2]


@dataclasses.dataclass(frozen=True)
class Duration:
    """A length of time: a string with its unit, "500 steps", "1 epoch" or "1.5e6 examples"."""

    can_be_zero: bool = False

    @property
    def phrase(self) -> str:
        """How "it must be ..." goes on."""
        return f"a duration{'' if self.can_be_zero else ' above 0'} in steps, epochs or examples"

    def convert(self, value: Any) -> str:
        """Return the string itself."""
        if not isinstance(value, str):
            raise ValueError
        amount, _ = parse_duration(value)
        if not amount and not self.can_be_zero:
            raise ValueError
        return value


class Patterns:
    """Patterns of parameters' names; a single one needs no brackets."""

    phrase = "patterns of parameters' names"
    example = ("stem/*", "inception_3*")

    def convert(self, value: Any) -> tuple[str, ...]:
        """Return a tuple of strings."""
        patterns = (value,) if isinstance(value, str) else value
        if not isinstance(patterns, list | tuple):
            raise ValueError
        if not all(isinstance(pattern, str) and pattern for pattern in patterns):
            raise ValueError
        return tuple(patterns)


class Rates:
    """Pairs of a pattern of parameters' names and a factor."""

    phrase = "pairs of a pattern of parameters' names and a factor above 0"
    example = (("head/*", 10.0),)

    def convert(self, value: Any) -> tuple[tuple[str, float], ...]:
        """Return a tuple of pairs."""
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
