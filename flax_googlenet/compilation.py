"""Compilation without XLA's alarms."""

import contextlib
import os
from collections.abc import Iterator

import jaxlib.utils

_FATAL = 3  # absl's log level above errors


@contextlib.contextmanager
def without_alarms() -> Iterator[None]:
    """Keep XLA from writing "Very slow compile?" to stderr, across a progress bar.

    XLA logs it as an error, so no errors are logged inside this context. They are still raised,
    and fatal errors are still logged.
    """
    jaxlib.utils.absl_set_min_log_level(_FATAL)
    try:
        yield
    finally:
        # JAX sets this variable on import; absl has no getter for its level.
        jaxlib.utils.absl_set_min_log_level(int(os.environ["TF_CPP_MIN_LOG_LEVEL"]))
