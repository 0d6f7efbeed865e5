"""What the commands that use the harness share: their flags, the result and its exit status."""

import os
import sys
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from typing import Any

from absl import flags

from benchmarks.conditions import conditions
from flax_googlenet.errors import UserError, did_you_mean

BUSY = 3  # exit status of a measurement on a busy machine
MOST_USED_BY_OTHERS = 0.1  # share of the cores, in the median round

_ROUNDS = flags.DEFINE_integer("rounds", 5, "Number of interleaved rounds.", lower_bound=1)
_CALLS = flags.DEFINE_integer("calls", 3, "Timed calls of each form in a round.", lower_bound=1)
_ALLOCATOR = flags.DEFINE_enum(
    "allocator", "keep", ["keep", "default"], "Whether glibc keeps freed memory, in every form's process."
)


def settings() -> dict[str, Any]:
    """Return the keyword arguments of `measure` that the flags set."""
    return {"rounds": _ROUNDS.value, "calls": _CALLS.value, "allocator": _ALLOCATOR.value}


def chosen(flag: str, names: Sequence[str], choices: Collection[str]) -> list[str]:
    """Return the values of a flag that takes a list, after checking them; "none" is an empty list.

    Raises:
      UserError: if a value is not one of the choices.
    """
    names = [] if list(names) == ["none"] else names
    for name in names:
        if name not in choices:
            raise UserError(f'--{flag} has no choice "{name}"; {did_you_mean(name, choices)}')
    return list(names)


def whole_numbers(flag: str, values: Sequence[str]) -> list[int]:
    """Return the values of a flag that takes a list of whole numbers above 0.

    Raises:
      UserError: if a value is something else.
    """
    for value in values:
        if not value.isdecimal() or not int(value):
            raise UserError(
                f'--{flag} has the value "{value}"; it must be whole numbers above 0, such as 1,16.'
            )
    return [int(value) for value in values]


def run_all(
    measurements: Mapping[str, Callable[[], dict[str, Any]]], packages: Iterable[str]
) -> dict[str, Any]:
    """Run measurements one after the other and return their results with the conditions.

    Args:
      measurements: by name, functions that call `measure`.
      packages: distributions whose versions the conditions include.
    """
    load_before = os.getloadavg()[0]
    results = {}
    for name, run in measurements.items():
        print(f"{name}:", file=sys.stderr)
        results[name] = run()
    others = max(result["others"] for result in results.values())
    device = next(form["device"] for result in results.values() for form in result["forms"].values())
    if others > MOST_USED_BY_OTHERS:
        print(
            f"The machine was busy: other processes used {others:.0%} of the cores. "
            "Measure again when it is idle.",
            file=sys.stderr,
        )
    return {
        "results": results,
        **settings(),
        "busy": others > MOST_USED_BY_OTHERS,
        "conditions": conditions(packages, device=device, load_before=load_before, others=others),
    }


def add_images_per_second(measured: Mapping[str, Any], images: int) -> None:
    """Add "images_per_second" to the forms of a result of `measure`.

    Args:
      measured: the result.
      images: number of images of a call.
    """
    for form in measured["forms"].values():
        form["images_per_second"] = round(images / form["seconds"], 2)


def exit_status(result: Mapping[str, Any]) -> int:
    """Return the exit status of a command with this result."""
    return BUSY if result["busy"] else 0
