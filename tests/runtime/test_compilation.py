import jax
import jax.numpy as jnp
import jaxlib.utils
import pytest

from flax_googlenet.runtime import compilation
from flax_googlenet.runtime.compilation import without_alarms


def test_errors_are_raised_but_not_logged(monkeypatch):
    levels: list[int] = []
    monkeypatch.setattr(jaxlib.utils, "absl_set_min_log_level", levels.append)
    monkeypatch.setenv("TF_CPP_MIN_LOG_LEVEL", "1")

    def fail_to_compile() -> None:
        with without_alarms():
            assert levels == [3]
            raise ValueError("compilation failed")

    with pytest.raises(ValueError, match="compilation failed"):
        fail_to_compile()
    assert levels == [3, 1]


def test_barriers_stay_in_programs_that_rematerialize():
    def double(x):
        return jax.lax.optimization_barrier(x + 1) * 2

    for remat in (False, True):
        compiled = compilation.jit(double, remat=remat).lower(jnp.ones(3)).compile()
        assert ("opt-barrier" in compiled.as_text()) == remat
