import pathlib

import jax
import jax.numpy as jnp
import pytest
from etils import epath

from flax_googlenet.errors import UserError
from flax_googlenet.training.reporting.clock import Clock
from flax_googlenet.training.reporting.profiling import Profiler
from tests.support.commands import traced_steps


def run_steps(root: pathlib.Path, steps: tuple[int, int] | None, first: int, last: int, total: int = 12):
    """Make some steps of a run, and return the state after them."""
    profiler = Profiler(steps, epath.Path(root), Clock(), first, total)
    step = profiler.wrap(jax.jit(lambda state: state + 1))
    state = jnp.zeros(())
    for _ in range(first, last):
        state = step(state)
    profiler.close()
    return state


@pytest.mark.parametrize(
    ("steps", "first", "last", "traced"),
    [
        pytest.param((3, 5), 0, 8, [3, 4, 5], id="in the middle"),
        pytest.param((1, 1), 0, 2, [1], id="the first"),
        pytest.param((3, 7), 4, 8, [5, 6, 7], id="resumed among them"),
        pytest.param((3, 9), 0, 5, [3, 4, 5], id="stopped among them"),
        pytest.param((3, 5), 5, 8, [], id="resumed after them"),
        pytest.param((9, 10), 0, 8, [], id="stopped before them"),
        pytest.param(None, 0, 3, [], id="none"),
    ],
)
def test_the_trace_has_the_steps(tmp_path, steps, first, last, traced):
    assert run_steps(tmp_path, steps, first, last) == last - first
    assert traced_steps(tmp_path) == traced
    assert bool(list(tmp_path.iterdir())) == bool(traced)


def test_a_trace_that_comes_too_late_is_announced(tmp_path, caplog):
    run_steps(tmp_path, (3, 5), first=5, last=6)
    assert caplog.messages == ["profile_steps is 3:5, but the run resumes at step 5; no trace is written"]


@pytest.mark.parametrize(
    ("steps", "words"),
    [
        ((5, 3), "profile_steps is 5:3; it must be the first and the last step to trace, such as 20:25"),
        ((0, 3), "profile_steps is 0:3; it must be"),
        ((3, 13), "profile_steps is 3:13, but the run ends at step 12; choose earlier steps"),
    ],
)
def test_steps_that_the_run_does_not_have_are_refused(tmp_path, steps, words):
    with pytest.raises(UserError, match=words):
        run_steps(tmp_path, steps, first=0, last=1)
    assert not list(tmp_path.iterdir())


def test_writing_a_trace_is_no_training(tmp_path):
    clock = Clock()
    clock.begin("steps")
    step = Profiler((1, 1), epath.Path(tmp_path), clock, 0, 1).wrap(jax.jit(lambda state: state + 1))
    step(jnp.zeros(()))
    assert clock.seconds()["other"] > 0
    assert traced_steps(tmp_path) == [1]


def test_a_trace_that_cannot_be_written_does_not_end_the_run(tmp_path, caplog):
    (tmp_path / "profile").write_text("")
    assert run_steps(tmp_path, (1, 2), 0, 4) == 4
    assert caplog.messages == [f"cannot write a trace into {tmp_path / 'profile'}: Not a directory"]
