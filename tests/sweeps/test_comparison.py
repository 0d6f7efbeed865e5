import numpy as np
import pytest
import scipy.stats

from flax_googlenet.sweeps.comparison import Difference, Spread, paired_difference, spread


@pytest.mark.parametrize("count", [2, 3, 5, 20])
@pytest.mark.parametrize("confidence", [0.8, 0.95])
def test_the_interval_is_that_of_scipys_paired_test(rng, count, confidence):
    values, reference = rng.normal(0.9, 0.02, (2, count))
    found = paired_difference(dict(enumerate(values)), dict(enumerate(reference)), confidence)
    low, high = scipy.stats.ttest_rel(values, reference).confidence_interval(confidence)
    np.testing.assert_allclose((found.mean - found.half_width, found.mean + found.half_width), (low, high))
    assert found.pairs == count


def test_only_common_seeds_are_paired():
    found = paired_difference({0: 1.0, 1: 5.0, 2: 9.0}, {1: 2.0, 2: 6.0, 7: 100.0})
    assert found == Difference(3.0, 0.0, 2)


@pytest.mark.parametrize(
    ("values", "reference", "expected"),
    [
        ({0: 1.0}, {0: 0.25}, Difference(0.75, None, 1)),
        ({0: 1.0}, {1: 0.25}, None),
        ({}, {}, None),
    ],
)
def test_too_few_pairs_have_no_interval(values, reference, expected):
    assert paired_difference(values, reference) == expected


def test_spread_of_one_value():
    assert spread([0.5]) == Spread(0.5, None, 1)


def test_spread_is_the_sample_deviation(rng):
    values = rng.normal(size=7)
    found = spread(list(values))
    np.testing.assert_allclose((found.mean, found.deviation), (values.mean(), values.std(ddof=1)))
