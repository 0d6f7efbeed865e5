import jax.numpy as jnp
import numpy as np
import pytest

from flax_googlenet.training.losses import cross_entropy, head_losses


def log_softmax(logits: np.ndarray) -> np.ndarray:
    return logits - np.log(np.exp(logits).sum(-1, keepdims=True))


@pytest.mark.parametrize("smoothing", [0.0, 0.1])
def test_cross_entropy_is_the_formula(rng, smoothing):
    logits, labels = rng.normal(size=(6, 4)), rng.integers(0, 4, 6)
    targets = (1 - smoothing) * np.eye(4)[labels] + smoothing / 4
    expected = -(targets * log_softmax(logits)).sum(-1).mean()
    loss = cross_entropy(jnp.asarray(logits, jnp.float32), jnp.asarray(labels), smoothing)
    np.testing.assert_allclose(loss, expected, rtol=1e-6)


def test_auxiliary_losses_are_weighted(rng):
    labels = jnp.asarray([0, 1, 2])
    outputs = {
        head: jnp.asarray(rng.normal(size=(3, 4)), jnp.float32) for head in ("logits", "aux_4a", "aux_4d")
    }
    total, by_head = head_losses(outputs, labels, aux_weight=0.3, label_smoothing=0.0)
    assert set(by_head) == set(outputs)
    expected = by_head["logits"] + 0.3 * by_head["aux_4a"] + 0.3 * by_head["aux_4d"]
    np.testing.assert_allclose(total, expected, rtol=1e-6)


@pytest.mark.parametrize("smoothing", [0.0, 0.1])
def test_cross_entropy_to_a_distribution_is_the_formula(rng, smoothing):
    """The cross-entropy to mixed labels is also the mixture of the cross-entropies to each label."""
    logits, a, b = rng.normal(size=(6, 4)), rng.integers(0, 4, 6), rng.integers(0, 4, 6)
    shares = 0.3 * np.eye(4)[a] + 0.7 * np.eye(4)[b]
    targets = (1 - smoothing) * shares + smoothing / 4
    expected = -(targets * log_softmax(logits)).sum(-1).mean()
    logits = jnp.asarray(logits, jnp.float32)
    loss = cross_entropy(logits, jnp.asarray(shares, jnp.float32), smoothing)
    np.testing.assert_allclose(loss, expected, rtol=1e-6)
    of_labels = [cross_entropy(logits, jnp.asarray(labels), smoothing) for labels in (a, b)]
    np.testing.assert_allclose(loss, 0.3 * of_labels[0] + 0.7 * of_labels[1], rtol=1e-6)
