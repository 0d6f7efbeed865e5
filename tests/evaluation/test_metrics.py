import jax.numpy as jnp
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from flax_googlenet.evaluation.metrics import sums


def ranked(logits: list[float], label: int) -> int:
    """Place of the label when classes are sorted by falling logit, then by index."""
    return sorted(range(len(logits)), key=lambda i: (-logits[i], i)).index(label)


@given(
    rows=st.lists(
        st.tuples(st.lists(st.integers(-3, 3), min_size=7, max_size=7), st.integers(0, 6), st.booleans()),
        min_size=1,
        max_size=10,
    )
)
def test_counts_are_those_of_a_sorted_list(rows):
    logits, labels, mask = zip(*rows, strict=True)
    found = sums(jnp.asarray(logits, jnp.float32), jnp.asarray(labels), jnp.asarray(mask))
    ranks = [ranked(row, label) for row, label, counted in rows if counted]
    assert found["top1"] == sum(rank < 1 for rank in ranks)
    assert found["top5"] == sum(rank < 5 for rank in ranks)
    assert found["num_examples"] == len(ranks)
    x = np.asarray(logits, np.float64)
    log_probabilities = x - np.log(np.exp(x).sum(-1, keepdims=True))
    loss = -log_probabilities[np.arange(len(rows)), labels][list(mask)].sum()
    np.testing.assert_allclose(found["loss"], loss, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("bad", [np.nan, np.inf])
def test_what_is_no_number_is_never_correct(bad):
    logits = jnp.asarray([[bad, 0.0, 1.0], [bad, bad, bad]])
    found = sums(logits, jnp.asarray([0, 1]), jnp.asarray([True, True]))
    assert found["top1"] == found["top5"] == 0
    assert found["num_examples"] == 2


def test_padding_that_is_no_number_does_not_spread():
    logits = jnp.asarray([[3.0, 0.0], [np.nan, np.nan]])
    found = sums(logits, jnp.asarray([0, 0]), jnp.asarray([True, False]))
    assert np.isfinite(found["loss"])
    assert found["top1"] == found["num_examples"] == 1
