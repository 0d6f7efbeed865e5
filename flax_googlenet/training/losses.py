"""The training loss: one cross-entropy a head, the auxiliary ones weighted (section 5)."""

import jax
import optax


def cross_entropy(logits: jax.Array, targets: jax.Array, label_smoothing: float = 0.0) -> jax.Array:
    """Mean softmax cross-entropy in nats.

    With t the target, one-hot or shares of the classes, it is that to
    (1 - label_smoothing) * t + label_smoothing / classes.

    Args:
      logits: float32 [batch, classes].
      targets: labels, integers [batch]; or of each example a distribution over the
        classes, float32 [batch, classes].
      label_smoothing: in [0, 1].

    >>> import jax.numpy as jnp
    >>> round(float(cross_entropy(jnp.zeros((2, 10)), jnp.array([3, 4]))), 4)
    2.3026
    """
    if targets.ndim == 1 and not label_smoothing:
        return optax.softmax_cross_entropy_with_integer_labels(logits, targets).mean()
    if targets.ndim == 1:
        targets = jax.nn.one_hot(targets, logits.shape[-1])
    if label_smoothing:
        targets = optax.smooth_labels(targets, label_smoothing)
    return optax.softmax_cross_entropy(logits, targets).mean()


def head_losses(
    outputs: dict[str, jax.Array], targets: jax.Array, *, aux_weight: float, label_smoothing: float
) -> tuple[jax.Array, dict[str, jax.Array]]:
    """Loss = cross_entropy(logits) + aux_weight * the sum of that of the auxiliary heads.

    Returns:
      The loss, and the unweighted loss of each head by the head's name.
    """
    by_head = {head: cross_entropy(logits, targets, label_smoothing) for head, logits in outputs.items()}
    total = by_head["logits"]
    for head, loss in by_head.items():
        if head != "logits":
            total = total + aux_weight * loss
    return total, by_head
