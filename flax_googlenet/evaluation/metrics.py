"""Metrics as sums and counts, so that batches, devices and padding do not matter."""

from collections.abc import Mapping
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import optax

BINS = 15  # of confidence, for the calibration error
MAX_CONFUSION = 50  # classes, of which a table of confusions can still be looked at


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


def details(logits: jax.Array, labels: jax.Array, mask: jax.Array) -> dict[str, jax.Array]:
    """What a batch adds to calibration, to the accuracy by class, and to the confusion of few classes.

    Args:
      logits, labels, mask: as in `sums`.

    Returns:
      "bin_examples", "bin_confidence" and "bin_correct", sums over the examples in each of
      15 equal bins of the highest probability; "class_examples" and "class_correct", counts
      by true class; and of at most `MAX_CONFUSION` classes "confusion", counts by true and
      by predicted class.
    """
    classes = logits.shape[1]
    counted = mask.astype(jnp.float32)
    predicted = jnp.argmax(logits, axis=1).astype(labels.dtype)
    correct = (mask & (predicted == labels)).astype(jnp.float32)
    confidence = jnp.exp(jax.nn.log_softmax(logits)).max(axis=1)
    bins = jnp.clip(jnp.ceil(confidence * BINS).astype(jnp.int32) - 1, 0, BINS - 1)

    def by(index: jax.Array, length: int, values: jax.Array) -> jax.Array:
        return jnp.zeros(length, jnp.float32).at[index].add(values)

    found = {
        "bin_examples": by(bins, BINS, counted),
        "bin_confidence": by(bins, BINS, counted * confidence),
        "bin_correct": by(bins, BINS, correct),
        "class_examples": by(labels, classes, counted),
        "class_correct": by(labels, classes, correct),
    }
    if classes <= MAX_CONFUSION:
        pairs = by(labels * classes + predicted, classes * classes, counted)
        found["confusion"] = pairs.reshape(classes, classes)
    return found


def summarize_details(total: Mapping[str, Any]) -> dict[str, Any]:
    """The figures that the sums of `details` over a whole split come to; {} without them.

    The expected calibration error is sum_b n_b / n * |accuracy_b - confidence_b| (Guo et
    al. 2017, "On calibration of modern neural networks").
    """
    if "bin_examples" not in total:
        return {}
    gaps = np.abs(total["bin_correct"] - total["bin_confidence"])
    examples = total["class_examples"]
    accuracy = np.divide(total["class_correct"], examples, out=np.zeros_like(examples), where=examples > 0)
    found = {
        "ece": float(gaps.sum() / examples.sum()),
        "class_accuracy": accuracy.tolist(),
        "class_examples": examples.astype(int).tolist(),
    }
    if "confusion" in total:
        found["confusion"] = total["confusion"].astype(int).tolist()
    return found
