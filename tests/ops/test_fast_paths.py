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


def test_the_inner_context_decides():
    with fast_paths.disabled(), fast_paths.enabled("winograd"):
        assert fast_paths.is_on("winograd")
        assert not fast_paths.is_on("max_pool")


def test_fast_paths_can_be_enabled_on_other_platforms(monkeypatch):
    monkeypatch.setattr("jax.default_backend", lambda: "gpu")
    assert not fast_paths.is_on("max_pool")
    with fast_paths.enabled("max_pool"):
        assert fast_paths.is_on("max_pool")


def test_an_unknown_name_is_refused():
    with pytest.raises(ValueError, match=r"no fast paths \['winogard'\]"), fast_paths.disabled("winogard"):
        pass
