import jax.numpy as jnp
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from flax_googlenet.evaluation.metrics import BINS, MAX_CONFUSION, details, summarize_details, sums


def ranked(logits: list[float], label: int) -> int:
    """Return the rank of the label among classes sorted by descending logit, then by index."""
    return sorted(range(len(logits)), key=lambda i: (-logits[i], i)).index(label)


@given(
    rows=st.lists(
        st.tuples(st.lists(st.integers(-3, 3), min_size=7, max_size=7), st.integers(0, 6), st.booleans()),
        min_size=1,
        max_size=10,
    )
)
def test_counts_agree_with_a_sorted_list(rows):
    logits, labels, mask = zip(*rows, strict=True)
    result = sums(jnp.asarray(logits, jnp.float32), jnp.asarray(labels), jnp.asarray(mask))
    ranks = [ranked(row, label) for row, label, counted in rows if counted]
    assert result["top1"] == sum(rank < 1 for rank in ranks)
    assert result["top5"] == sum(rank < 5 for rank in ranks)
    assert result["num_examples"] == len(ranks)
    x = np.asarray(logits, np.float64)
    log_probabilities = x - np.log(np.exp(x).sum(-1, keepdims=True))
    loss = -log_probabilities[np.arange(len(rows)), labels][list(mask)].sum()
    np.testing.assert_allclose(result["loss"], loss, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("bad", [np.nan, np.inf])
def test_logits_that_are_not_finite_are_never_correct(bad):
    logits = jnp.asarray([[bad, 0.0, 1.0], [bad, bad, bad]])
    result = sums(logits, jnp.asarray([0, 1]), jnp.asarray([True, True]))
    assert result["top1"] == result["top5"] == 0
    assert result["num_examples"] == 2


def test_nan_in_padding_does_not_spread():
    logits = jnp.asarray([[3.0, 0.0], [np.nan, np.nan]])
    result = sums(logits, jnp.asarray([0, 0]), jnp.asarray([True, False]))
    assert np.isfinite(result["loss"])
    assert result["top1"] == result["num_examples"] == 1


def test_details_agree_with_a_loop(rng):
    classes, count = 4, 300
    logits = rng.normal(0, 2, (count, classes)).astype(np.float32)
    labels, mask = rng.integers(0, classes, count), rng.random(count) < 0.8
    batches = [
        details(*(jnp.asarray(array[part]) for array in (logits, labels, mask)))
        for part in (slice(0, 100), slice(100, 300))
    ]
    result = summarize_details({name: np.asarray(batches[0][name] + batches[1][name]) for name in batches[0]})
    probabilities = np.exp(logits.astype(np.float64))
    probabilities /= probabilities.sum(1, keepdims=True)
    ece, confusion = 0.0, np.zeros((classes, classes), int)
    for low in range(BINS):
        confidence = probabilities.max(1)
        chosen = mask & (confidence > low / BINS) & (confidence <= (low + 1) / BINS)
        if chosen.any():
            accuracy = (probabilities.argmax(1) == labels)[chosen].mean()
            ece += chosen.sum() / mask.sum() * abs(accuracy - confidence[chosen].mean())
    for label, row, counted in zip(labels, probabilities, mask, strict=True):
        confusion[label, row.argmax()] += counted
    assert result["ece"] == pytest.approx(ece, rel=1e-4)
    assert result["confusion"] == confusion.tolist()
    assert result["class_examples"] == confusion.sum(1).tolist()
    np.testing.assert_allclose(result["class_accuracy"], confusion.diagonal() / confusion.sum(1), rtol=1e-6)


def test_many_classes_have_no_confusion_matrix_and_absent_classes_accuracy_zero():
    classes = MAX_CONFUSION + 1
    result = details(jnp.zeros((2, classes)), jnp.asarray([1, 1]), jnp.asarray([True, True]))
    assert "confusion" not in result
    accuracy = summarize_details({name: np.asarray(value) for name, value in result.items()})[
        "class_accuracy"
    ]
    assert accuracy == [0.0] * classes
    assert summarize_details({}) == {}
