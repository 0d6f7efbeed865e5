"""What the workloads in JAX have in common."""

from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp


def jax_facts() -> dict[str, Any]:
    """Return the library and the device of a workload in JAX."""
    return {"library": f"jax {jax.__version__}", "device": f"1 x {jax.devices()[0].device_kind}"}


def matrix_product(dtype: str) -> tuple[Callable[[], Any], int]:
    """Return a function that computes a product of square matrices, and their side."""
    side = 2048 if jax.default_backend() == "cpu" else 8192
    matrix = jax.random.normal(jax.random.key(0), (side, side)).astype(dtype)
    product = jax.jit(lambda x: jnp.matmul(x, x))
    return lambda: jax.block_until_ready(product(matrix)), side


def peak_device_bytes() -> Callable[[], int] | None:
    """Return a function that returns the peak memory of the accelerator; None on a CPU."""
    device = jax.devices()[0]
    if device.memory_stats() is None:
        return None
    return lambda: int((device.memory_stats() or {}).get("peak_bytes_in_use", 0))
