"""The run-time check of the array shapes and dtypes in signatures.

jaxtyping's import hook passes every function of the rooms in tests/conftest.py to `check`. It
works with Flax's modules too, since it decorates the methods before `nn.compact` and Flax wrap them.
"""

import inspect
from collections.abc import Callable
from typing import Any, TypeVar, get_args

import beartype
import jaxtyping

# These methods check the shape of their images, and tests expect their errors. Only what they
# return is checked here.
CHECK_THEIR_ARGUMENTS = frozenset({"GoogLeNet.__call__", "VGG16.__call__"})

Function = TypeVar("Function", bound=Callable[..., Any])


def check(function: Function) -> Function:
    """Have a function check the arrays that it takes and returns, and nothing else.

    Other annotations are left to mypy, since tests pass values of the wrong type on purpose.
    """
    shapes = {name: hint for name, hint in function.__annotations__.items() if has_shape(hint)}
    if function.__qualname__ in CHECK_THEIR_ARGUMENTS:
        shapes = {name: hint for name, hint in shapes.items() if name == "return"}
    if not shapes:
        return function
    function.__annotations__ = shapes
    return beartype.beartype(function)


def has_shape(hint: Any) -> bool:
    """Return whether an annotation is, or contains, one of jaxtyping's arrays."""
    if inspect.isclass(hint) and issubclass(hint, jaxtyping.AbstractArray):
        return True
    return any(map(has_shape, get_args(hint)))
