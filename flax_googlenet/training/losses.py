"""The training loss: a cross-entropy per head, with a weight for the auxiliary heads (section 5)."""

import jax
import optax
from jaxtyping import Array, Float, Int

Logits = Float[Array, "batch classes"]
Targets = Int[Array, " batch"] | Float[Array, "batch classes"]
Scalar = Float[Array, ""]


def cross_entropy(logits: Logits, targets: Targets, label_smoothing: float = 0.0) -> Scalar:
    """Return the mean softmax cross-entropy in nats.

    The targets are smoothed to (1 - label_smoothing) * t + label_smoothing / classes, where t is
    the target distribution, one-hot for a label.

    Args:
      logits: logits of the batch.
      targets: a label per example, or a distribution over the classes.
      label_smoothing: between 0 and 1.

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
    outputs: dict[str, Logits], targets: Targets, *, aux_weight: float, label_smoothing: float
) -> tuple[Scalar, dict[str, Scalar]]:
    """Return the training loss and the unweighted loss of each head.

    loss = cross_entropy(logits) + aux_weight * sum of the auxiliary heads' cross-entropies

    Args:
      outputs: logits by head; the main head is "logits".
      targets: as in `cross_entropy`, the same for all heads.
      aux_weight: weight of each auxiliary head.
      label_smoothing: between 0 and 1.
    """
    by_head = {head: cross_entropy(logits, targets, label_smoothing) for head, logits in outputs.items()}
    total = by_head["logits"]
    for head, loss in by_head.items():
        if head != "logits":
            total = total + aux_weight * loss
    return total, by_head
