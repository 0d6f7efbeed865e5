"""Compiling, without what XLA writes of it across a progress bar."""

import contextlib
import os
from collections.abc import Iterator

import jaxlib.utils

_FATAL = 3  # of absl's levels; 2 is an error


@contextlib.contextmanager
def without_alarms() -> Iterator[None]:
    """Keep XLA from writing "Very slow compile?" to stderr.

    It logs that as an error, and so errors are not logged meanwhile. They are raised all the same, and
    what ends the process is logged.
    """
    jaxlib.utils.absl_set_min_log_level(_FATAL)
    try:
        yield
    finally:
        # JAX sets the variable when it is imported; absl does not tell its level.
        jaxlib.utils.absl_set_min_log_level(int(os.environ["TF_CPP_MIN_LOG_LEVEL"]))
