import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from flax_googlenet.data.order import crop_uniforms, permutation, raw_random, substitute


def test_random_numbers_never_change():
    """Golden values: a run resumes in the same order after an update of NumPy."""
    assert raw_random(7, 0, 3, 5, 2).tolist() == [4328626320390569610, 6874187400707493902]
    assert permutation(0, 0, 10).tolist() == [0, 2, 9, 1, 8, 5, 4, 3, 6, 7]
    assert crop_uniforms(0, [(1, 2)])[0, :2] == pytest.approx([0.3537949815383278, 0.6446493202129582], abs=0)


@given(seed=st.integers(0, 2**32), epoch=st.integers(0, 1000), length=st.integers(1, 500))
def test_an_epoch_has_every_example_once(seed, epoch, length):
    assert sorted(permutation(seed, epoch, length).tolist()) == list(range(length))


def test_crops_differ_by_epoch_and_example():
    examples = [(epoch, index) for epoch in range(3) for index in range(3)]
    draws = crop_uniforms(0, examples)
    assert len({tuple(row) for row in draws}) == 9
    for row, example in zip(draws, examples, strict=True):
        np.testing.assert_array_equal(row, crop_uniforms(0, [example])[0], "they depend on nothing else")


def test_substitutes_are_other_examples():
    """Golden values: a run resumes with the same images."""
    assert [substitute(0, 0, 3, attempt, 100) for attempt in (1, 2, 3)] == [66, 48, 16]
