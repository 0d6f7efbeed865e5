"""Which of the faster forms of the operations run.

A fast path computes the same function as the plain form beside it. This module alone decides which of the
two runs, by platform, when a program is traced.
"""

import contextlib
import contextvars
from collections.abc import Iterator

import jax

# Name of each fast path -> the platforms on which it is faster than XLA's own form.
FAST_PATHS: dict[str, tuple[str, ...]] = {
    "max_pool": ("cpu",),  # maximum of slices; gradient from the index of each window's maximum
    "batch_norm": ("cpu",),  # batch normalization and ReLU as one operation with its own gradient
    "patches": ("cpu",),  # kernels larger than the image as products with patches of it
    "winograd": ("cpu",),  # 3x3 convolutions with 2.25 times fewer multiplications
    "local_response_norm": ("cpu",),  # sums over channels as sums of slices, with its own gradient
}

_disabled: contextvars.ContextVar[frozenset[str]] = contextvars.ContextVar("disabled", default=frozenset())


def is_on(name: str) -> bool:
    """Return whether a fast path is chosen for the default platform."""
    return jax.default_backend() in FAST_PATHS[name] and name not in _disabled.get()


@contextlib.contextmanager
def disabled(*names: str) -> Iterator[None]:
    """Use the plain forms in what is traced inside this context, for tests and measurements.

    Args:
      names: names of fast paths; none disables all of them.

    >>> with disabled("winograd"):
    ...     is_on("winograd")
    False
    """
    chosen = frozenset(names or FAST_PATHS)
    if unknown := chosen - FAST_PATHS.keys():
        raise ValueError(f"there are no fast paths {sorted(unknown)}; there are {sorted(FAST_PATHS)}.")
    token = _disabled.set(_disabled.get() | chosen)
    try:
        yield
    finally:
        _disabled.reset(token)
