import pytest

from flax_googlenet.ops import fast_paths


def test_all_can_be_disabled():
    assert all(map(fast_paths.is_on, fast_paths.FAST_PATHS))  # the tests run on CPUs
    with fast_paths.disabled():
        assert not any(map(fast_paths.is_on, fast_paths.FAST_PATHS))
    assert all(map(fast_paths.is_on, fast_paths.FAST_PATHS))


def test_contexts_add_up():
    with fast_paths.disabled("winograd"), fast_paths.disabled("max_pool"):
        assert not fast_paths.is_on("winograd")
        assert not fast_paths.is_on("max_pool")
        assert fast_paths.is_on("batch_norm")


def test_an_unknown_name_is_refused():
    with pytest.raises(ValueError, match=r"no fast paths \['winogard'\]"), fast_paths.disabled("winogard"):
        pass
