"""Which of the faster forms of the operations run.

A fast path computes the same function as the plain form beside it. This module alone decides which of the
two runs, by platform, when a program is traced.
"""

import contextlib
import contextvars
from collections.abc import Collection, Iterator, Mapping

import jax

# Name of each fast path -> the platforms on which it is faster than XLA's own form.
FAST_PATHS: dict[str, tuple[str, ...]] = {
    "max_pool": ("cpu",),  # maximum of slices; gradient from the index of each window's maximum
    "batch_norm": ("cpu",),  # batch normalization and ReLU as one operation with its own gradient
    "patches": ("cpu",),  # kernels larger than the image as products with patches of it
    "winograd": ("cpu",),  # 3x3 convolutions with 2.25 times fewer multiplications
    "local_response_norm": ("cpu",),  # sums over channels as sums of slices, with its own gradient
}

_overrides: contextvars.ContextVar[Mapping[str, bool]] = contextvars.ContextVar("overrides", default={})  # noqa: B039


def is_on(name: str) -> bool:
    """Return whether a fast path runs: by default, on the platforms on which it is faster."""
    return _overrides.get().get(name, jax.default_backend() in FAST_PATHS[name])


@contextlib.contextmanager
def disabled(*names: str) -> Iterator[None]:
    """Use the plain forms in what is traced inside this context, for tests and measurements.

    Args:
      names: names of fast paths; none disables all of them.

    >>> with disabled("winograd"):
    ...     is_on("winograd")
    False
    """
    with _switched(names or tuple(FAST_PATHS), on=False):
        yield


@contextlib.contextmanager
def enabled(*names: str) -> Iterator[None]:
    """Use the fast paths with these names on every platform, in what is traced inside this context."""
    with _switched(names, on=True):
        yield


@contextlib.contextmanager
def _switched(names: Collection[str], *, on: bool) -> Iterator[None]:
    if unknown := set(names) - FAST_PATHS.keys():
        raise ValueError(f"there are no fast paths {sorted(unknown)}; there are {sorted(FAST_PATHS)}.")
    token = _overrides.set({**_overrides.get(), **dict.fromkeys(names, on)})
    try:
        yield
    finally:
        _overrides.reset(token)
