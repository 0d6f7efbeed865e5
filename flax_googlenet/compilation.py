"""Compilation without XLA's warnings about slow compilation."""

import contextlib
import os
from collections.abc import Iterator

import jaxlib.utils

_FATAL = 3  # absl's log level above errors


@contextlib.contextmanager
def without_alarms() -> Iterator[None]:
    """Keep XLA from writing "Very slow compile?" to stderr, where it would break a progress bar.

    XLA logs this message as an error, so errors are not logged inside this context. They are still
    raised, and fatal errors are still logged.
    """
    jaxlib.utils.absl_set_min_log_level(_FATAL)
    try:
        yield
    finally:
        # JAX sets this variable on import; absl has no getter for its level.
        jaxlib.utils.absl_set_min_log_level(int(os.environ["TF_CPP_MIN_LOG_LEVEL"]))
