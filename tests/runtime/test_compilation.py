import subprocess
import sys

import jax
import jax.numpy as jnp
import jaxlib.utils
import pytest

from flax_googlenet.runtime import compilation
from flax_googlenet.runtime.compilation import without_alarms
from tests.support.commands import REPOSITORY, process_environment


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


def test_compilations_and_what_the_cache_saves_are_observed(tmp_path):
    """In a process of its own, since JAX opens its cache once."""
    program = """
import jax
from flax_googlenet.runtime import compilation
compiled, saved = [], []
def compile_once():
    jax.clear_caches()
    jax.jit(lambda x: x @ x + 1)(jax.numpy.ones((8, 8))).block_until_ready()
jax.config.update("jax_persistent_cache_min_compile_time_secs", 0)
compile_once()
with compilation.observed(compiled.append, saved.append):
    compile_once()
seen = len(compiled), len(saved)
compile_once()
assert seen == (len(compiled), len(saved)), "nothing is observed afterwards"
assert compiled and saved and min(compiled) > 0, (compiled, saved)
"""
    environment = {**process_environment(), "JAX_COMPILATION_CACHE_DIR": str(tmp_path)}
    process = subprocess.run(
        [sys.executable, "-c", program], cwd=REPOSITORY, env=environment, capture_output=True, check=False
    )
    assert process.returncode == 0, process.stderr.decode()
