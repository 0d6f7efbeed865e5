"""Local response normalization against PyTorch's layer and the formula in float64."""

from collections.abc import Iterator
from typing import Any

import jax.numpy as jnp
import numpy as np
import torch

from benchmarks.parity.comparison import Comparison, channels_first, compare
from flax_googlenet import ops


def compare_local_response_norm() -> Iterator[Comparison]:
    """Compare both definitions of alpha, with values large enough to matter."""
    x = np.random.default_rng(0).normal(0, 10, (2, 7, 5, 24)).astype(np.float32)
    for size, alpha, beta, k in ((5, 1e-4, 0.75, 1.0), (5, 1.0, 0.75, 1.0), (3, 0.5, 0.5, 2.0)):
        options: Any = {"size": size, "alpha": alpha, "beta": beta, "k": k}
        label = f"size {size}, alpha {alpha}, beta {beta}, k {k}"
        divided = ops.local_response_norm(jnp.asarray(x), **options, divide_alpha_by_size=True)
        expected = torch.nn.LocalResponseNorm(size, alpha, beta, k)(channels_first(x)).permute(0, 2, 3, 1)
        yield compare(f"LRN, alpha / size: PyTorch ({label})", {"y": divided}, {"y": expected}, 1e-6)
        summed = ops.local_response_norm(jnp.asarray(x), **options)
        yield compare(
            f"LRN: the formula in float64 ({label})", {"y": summed}, {"y": _formula(x, **options)}, 1e-6
        )


def _formula(x: np.ndarray, size: int, alpha: float, beta: float, k: float) -> np.ndarray:
    """Compute the formula of Krizhevsky et al. 2012, section 3.3, one channel at a time."""
    wide, y = x.astype(np.float64), np.empty(x.shape)
    for i in range(x.shape[-1]):
        neighbors = wide[..., max(0, i - size // 2) : min(x.shape[-1], i + size // 2 + 1)]
        y[..., i] = wide[..., i] / (k + alpha * (neighbors**2).sum(axis=-1)) ** beta
    return y
