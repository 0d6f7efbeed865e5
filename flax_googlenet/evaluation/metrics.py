"""Metrics as sums and counts, so that neither batches, devices nor padding change them."""

from collections.abc import Mapping
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import optax
from jaxtyping import Array, Bool, Float, Int, Num

BINS = 15  # of confidence, for the calibration error
MAX_CONFUSION = 50  # a confusion matrix of more classes is not readable

Logits = Float[Array, "batch classes"]
Labels = Int[Array, " batch"]
Mask = Bool[Array, " batch"]


def sums(logits: Logits, labels: Labels, mask: Mask) -> dict[str, Num[Array, ""]]:
    """Return the sums of the metrics over a batch.

    An example counts as correct in its top k if fewer than k classes rank above its own.
    Among equal logits the class with the lower index ranks higher. An example with an
    infinite or NaN logit is never correct.

    Args:
      logits: logits of the batch.
      labels: true classes.
      mask: false for padding.

    Returns:
      "top1" and "top5", counts of correct examples; "loss", the summed cross-entropy in
      nats; and "num_examples".

    >>> logits = jnp.array([[1.0, 3.0, 2.0], [5.0, 0.0, 0.0]])
    >>> batch = sums(logits, jnp.array([2, 0]), jnp.array([True, True]))
    >>> {name: int(value) for name, value in batch.items() if name != "loss"}
    {'top1': 1, 'top5': 2, 'num_examples': 2}
    """
    label_logits = jnp.take_along_axis(logits, labels[:, None], axis=1)
    classes = jnp.arange(logits.shape[1], dtype=labels.dtype)[None]
    precedes = (logits > label_logits) | ((logits == label_logits) & (classes < labels[:, None]))
    rank = precedes.sum(axis=1)
    counted = mask & jnp.isfinite(logits).all(axis=1)
    losses = optax.softmax_cross_entropy_with_integer_labels(logits, labels)
    return {
        "top1": (counted & (rank < 1)).sum(),
        "top5": (counted & (rank < 5)).sum(),
        "loss": jnp.where(mask, losses, jnp.zeros_like(losses)).sum(),
        "num_examples": mask.sum(),
    }


def details(logits: Logits, labels: Labels, mask: Mask) -> dict[str, Float[Array, "..."]]:
    """Return the sums over a batch for calibration error, accuracy per class and confusion matrix.

    Args:
      logits, labels, mask: as in `sums`.

    Returns:
      "bin_examples", "bin_confidence" and "bin_correct", sums over the examples whose highest
      probability falls into each of `BINS` equal bins; "class_examples" and "class_correct",
      counts per true class; and, for up to `MAX_CONFUSION` classes, "confusion", counts by true
      and predicted class.
    """
    classes = logits.shape[1]
    counted = mask.astype(jnp.float32)
    predicted = jnp.argmax(logits, axis=1).astype(labels.dtype)
    correct = (mask & (predicted == labels)).astype(jnp.float32)
    confidence = jnp.exp(jax.nn.log_softmax(logits)).max(axis=1)
    bins = jnp.clip(jnp.ceil(confidence * BINS).astype(jnp.int32) - 1, 0, BINS - 1)

    def sum_by(index: Labels, length: int, values: Float[Array, " batch"]) -> Float[Array, " length"]:
        return jnp.zeros(length, jnp.float32).at[index].add(values)

    batch = {
        "bin_examples": sum_by(bins, BINS, counted),
        "bin_confidence": sum_by(bins, BINS, counted * confidence),
        "bin_correct": sum_by(bins, BINS, correct),
        "class_examples": sum_by(labels, classes, counted),
        "class_correct": sum_by(labels, classes, correct),
    }
    if classes <= MAX_CONFUSION:
        pairs = sum_by(labels * classes + predicted, classes * classes, counted)
        batch["confusion"] = pairs.reshape(classes, classes)
    return batch


def summarize_details(total: Mapping[str, Any]) -> dict[str, Any]:
    """Return the figures that follow from the sums of `details` over a split.

    The expected calibration error is sum_b n_b / n * |accuracy_b - confidence_b| over the bins b
    (Guo et al. 2017, "On calibration of modern neural networks").

    Args:
      total: sums over all batches, also of other metrics; without those of `details` there
        are no figures.
    """
    if "bin_examples" not in total:
        return {}
    gaps = np.abs(total["bin_correct"] - total["bin_confidence"])
    examples = total["class_examples"]
    accuracy = np.divide(total["class_correct"], examples, out=np.zeros_like(examples), where=examples > 0)
    figures = {
        "ece": float(gaps.sum() / examples.sum()),
        "class_accuracy": accuracy.tolist(),
        "class_examples": examples.astype(int).tolist(),
    }
    if "confusion" in total:
        figures["confusion"] = total["confusion"].astype(int).tolist()
    return figures
