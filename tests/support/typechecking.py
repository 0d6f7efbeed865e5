"""The run-time check of the array shapes and dtypes in signatures.

jaxtyping's import hook hands every function of the rooms in tests/conftest.py to `check`. Flax's
modules take it: the hook decorates the bare methods, below `nn.compact` and Flax's own wrapping.
"""

import inspect
from collections.abc import Callable
from typing import Any, TypeVar, get_args

import beartype
import jaxtyping

# These functions check their images themselves, and tests expect their own errors.
CHECK_THEMSELVES = frozenset({"GoogLeNet.__call__", "VGG16.__call__"})

Function = TypeVar("Function", bound=Callable[..., Any])


def check(function: Function) -> Function:
    """Have a function check the arrays that it takes and returns, and nothing else.

    Other annotations are mypy's business: tests pass values of the wrong type on purpose.
    """
    shapes = {name: hint for name, hint in function.__annotations__.items() if has_shape(hint)}
    if not shapes or function.__qualname__ in CHECK_THEMSELVES:
        return function
    function.__annotations__ = shapes
    return beartype.beartype(function)


def has_shape(hint: Any) -> bool:
    """Return whether an annotation is, or contains, one of jaxtyping's arrays."""
    if inspect.isclass(hint) and issubclass(hint, jaxtyping.AbstractArray):
        return True
    return any(map(has_shape, get_args(hint)))
