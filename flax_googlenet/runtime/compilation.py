"""Compilation: XLA's options for each platform, and no warnings about slow compilation."""

import contextlib
import os
from collections.abc import Callable, Iterator
from typing import Any

import jax
import jaxlib.utils

# XLA's options by platform.
_OPTIONS: dict[str, dict[str, Any]] = {
    # XLA hands convolutions and matrix products on CPUs to YNNPACK, whose kernel gradients take up to
    # seven times as long as Eigen's. Reductions stay there, since XLA's own take five times as long.
    "cpu": {"xla_cpu_experimental_ynn_fusion_type": "LIBRARY_FUSION_TYPE_REDUCE"},
}

# By default, XLA removes the barriers of `jax.checkpoint` on CPUs before it orders the operations. It then
# recomputes activations early, when memory is full, instead of late.
_BARRIERS_KEPT: dict[str, dict[str, Any]] = {"cpu": {"xla_disable_hlo_passes": "cse_barrier_expander"}}

# Events of JAX, with their durations.
_COMPILED = "/jax/core/compile/backend_compile_duration"  # also of a program read from the cache
_SAVED = "/jax/compilation_cache/compile_time_saved_sec"

_FATAL = 3  # absl's log level above errors


def compiler_options(*, remat: bool = False) -> dict[str, Any]:
    """Return XLA's options for the default platform.

    Args:
      remat: whether the program rematerializes.
    """
    platform = jax.default_backend()
    return _OPTIONS.get(platform, {}) | (_BARRIERS_KEPT.get(platform, {}) if remat else {})


def jit(function: Callable[..., Any], *, remat: bool = False, **options: Any) -> Any:
    """Call `jax.jit` with this project's `compiler_options`.

    Args:
      function: a function that runs a network.
      remat: whether it rematerializes.
      options: as for `jax.jit`.
    """
    return jax.jit(function, compiler_options=compiler_options(remat=remat), **options)


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


@contextlib.contextmanager
def observed(compiled: Callable[[float], None], saved: Callable[[float], None]) -> Iterator[None]:
    """Observe every compilation inside this context.

    Args:
      compiled: called with the seconds that a compilation took.
      saved: called with the seconds that the compilation cache saved, when it had the program.
    """
    listeners = {_COMPILED: compiled, _SAVED: saved}

    def listen(event: str, duration_secs: float, **_kwargs: str | int) -> None:
        if event in listeners:
            listeners[event](duration_secs)

    jax.monitoring.register_event_duration_secs_listener(listen)
    try:
        yield
    finally:
        jax.monitoring.unregister_event_duration_listener(listen)
