"""Metrics as sums and counts, so that batches, devices and padding do not matter."""

import jax
import jax.numpy as jnp
import optax


def sums(logits: jax.Array, labels: jax.Array, mask: jax.Array) -> dict[str, jax.Array]:
    """What a batch adds to the metrics.

    An example is correct in its top k if fewer than k classes precede its own, where
    among equal logits the lower index comes first. Logits that are not numbers are
    never correct.

    Args:
      logits: float32 [batch, classes].
      labels: integers [batch].
      mask: bool [batch], false for padding.

    Returns:
      "top1" and "top5", counts of correct examples; "loss", the summed cross-entropy
      in nats; "num_examples".

    >>> logits = jnp.array([[1.0, 3.0, 2.0], [5.0, 0.0, 0.0]])
    >>> found = sums(logits, jnp.array([2, 0]), jnp.array([True, True]))
    >>> {name: int(value) for name, value in found.items() if name != "loss"}
    {'top1': 1, 'top5': 2, 'num_examples': 2}
    """
    own = jnp.take_along_axis(logits, labels[:, None], axis=1)
    classes = jnp.arange(logits.shape[1], dtype=labels.dtype)[None]
    precedes = (logits > own) | ((logits == own) & (classes < labels[:, None]))
    rank = precedes.sum(axis=1)
    counted = mask & jnp.isfinite(logits).all(axis=1)
    losses = optax.softmax_cross_entropy_with_integer_labels(logits, labels)
    return {
        "top1": (counted & (rank < 1)).sum(),
        "top5": (counted & (rank < 5)).sum(),
        "loss": jnp.where(mask, losses, jnp.zeros_like(losses)).sum(),
        "num_examples": mask.sum(),
    }
