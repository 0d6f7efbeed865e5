"""The training loss: one cross-entropy a head, the auxiliary ones weighted (section 5)."""

import jax
import optax


def cross_entropy(logits: jax.Array, labels: jax.Array, label_smoothing: float = 0.0) -> jax.Array:
    """Mean softmax cross-entropy in nats.

    The target is (1 - label_smoothing) * one_hot + label_smoothing / classes.

    Args:
      logits: float32 [batch, classes].
      labels: integers [batch].
      label_smoothing: in [0, 1].

    >>> import jax.numpy as jnp
    >>> round(float(cross_entropy(jnp.zeros((2, 10)), jnp.array([3, 4]))), 4)
    2.3026
    """
    if label_smoothing:
        targets = optax.smooth_labels(jax.nn.one_hot(labels, logits.shape[-1]), label_smoothing)
        return optax.softmax_cross_entropy(logits, targets).mean()
    return optax.softmax_cross_entropy_with_integer_labels(logits, labels).mean()


def head_losses(
    outputs: dict[str, jax.Array], labels: jax.Array, *, aux_weight: float, label_smoothing: float
) -> tuple[jax.Array, dict[str, jax.Array]]:
    """Loss = cross_entropy(logits) + aux_weight * the sum of that of the auxiliary heads.

    Returns:
      The loss, and the unweighted loss of each head by the head's name.
    """
    by_head = {head: cross_entropy(logits, labels, label_smoothing) for head, logits in outputs.items()}
    total = by_head["logits"]
    for head, loss in by_head.items():
        if head != "logits":
            total = total + aux_weight * loss
    return total, by_head
