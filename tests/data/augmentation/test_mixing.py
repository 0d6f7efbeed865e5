import jax
import jax.numpy as jnp
import numpy as np
import pytest
import scipy.stats

from flax_googlenet.data.augmentation.mixing import mix

SIZE = 20


def mixed(key: int, count: int = 4, **alphas):
    """Mix a batch in which image and class i have the level i."""
    images = jnp.broadcast_to(jnp.arange(float(count)).reshape(-1, 1, 1, 1), (count, SIZE, SIZE, 3))
    result = mix(jax.random.key(key), images, jnp.eye(count), **{"mixup": 0.0, "cutmix": 0.0, **alphas})
    return tuple(map(np.asarray, result))


@pytest.mark.parametrize("alphas", [{"mixup": 0.4}, {"cutmix": 1.0}, {"mixup": 0.4, "cutmix": 1.0}], ids=str)
def test_is_the_formula(rng, alphas):
    """The share is read off the targets, and the box off images with one level each."""
    count = 5
    images, targets = rng.normal(size=(count, SIZE, SIZE, 3)), rng.dirichlet(np.ones(7), count)
    for key in range(8):
        levels, shares = mixed(key, count, **alphas)
        pixel_share = levels[1]  # image 1 has the level 1 and its partner 0
        share = shares[0, 0]
        mixed_images, mixed_targets = mix(
            jax.random.key(key),
            jnp.asarray(images, jnp.float32),
            jnp.asarray(targets, jnp.float32),
            **{"mixup": 0.0, "cutmix": 0.0, **alphas},
        )
        expected = pixel_share * images + (1 - pixel_share) * np.roll(images, 1, 0)
        np.testing.assert_allclose(mixed_images, expected, rtol=1e-4, atol=1e-5)
        expected = share * targets + (1 - share) * np.roll(targets, 1, 0)
        np.testing.assert_allclose(mixed_targets, expected, rtol=1e-5, atol=1e-6)
        np.testing.assert_allclose(mixed_targets.sum(-1), 1, rtol=1e-5)
        assert pixel_share.mean() == pytest.approx(share, abs=1e-5), "classes have the shares of the pixels"


@pytest.mark.parametrize("alpha", [0.01, 0.2, 1.0, 8.0])
def test_shares_have_the_beta_distribution(alpha):
    draw = jax.jit(
        jax.vmap(lambda key: mix(key, jnp.zeros((2, 1, 1, 1)), jnp.eye(2), mixup=alpha, cutmix=0.0))
    )
    shares = np.asarray(draw(jax.random.split(jax.random.key(0), 2000))[1][:, 0, 0], np.float64)
    assert (shares >= 0).all()
    # Shares that float32 rounds to 0 get the distribution function at 0.
    expected = scipy.stats.beta(alpha, alpha).cdf(np.clip(shares, 1e-30, 1))
    ranks = (np.argsort(np.argsort(shares)) + 0.5) / len(shares)
    inner = (shares > 1e-6) & (shares < 1 - 1e-6)
    np.testing.assert_allclose(expected[inner], ranks[inner], atol=0.04)
    assert shares.mean() == pytest.approx(0.5, abs=0.04)


def test_cutmix_pastes_one_box():
    sizes = []
    for key in range(100):
        images, targets = mixed(key, cutmix=1.0)
        pasted = images[1, :, :, 0] == 0
        np.testing.assert_array_equal(images[1, ..., 0] + 1, images[2, ..., 0])  # the same box for all
        rows, columns = pasted.any(1), pasted.any(0)
        np.testing.assert_array_equal(pasted, rows[:, None] & columns[None])
        for side in (rows, columns):
            assert np.abs(np.diff(side.astype(int))).sum() <= 2, "in one piece"
        assert targets[1, 1] == pytest.approx(1 - pasted.mean(), abs=1e-6)
        assert targets[1, 0] == pytest.approx(pasted.mean(), abs=1e-6)
        sizes.append(pasted.mean())
    assert min(sizes) < 0.05
    assert max(sizes) > 0.5


def test_a_batch_gets_mixup_or_cutmix_if_both_are_on():
    is_cutmix = []
    for key in range(60):
        images, _ = mixed(key, mixup=8.0, cutmix=8.0)  # shares near a half
        is_cutmix.append(set(np.unique(images[1])) <= {0.0, 1.0})
    assert 18 < sum(is_cutmix) < 42
