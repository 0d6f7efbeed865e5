import jax
import jax.numpy as jnp
import pytest

from flax_googlenet.distributed import coordination
from flax_googlenet.distributed.compilation import compile_together
from flax_googlenet.distributed.coordination import describe, exchange, meet
from flax_googlenet.errors import UserError


def test_a_process_without_others_hears_itself():
    assert exchange("greeting", "hello") == ["hello"]
    meet("lunch")
    double = compile_together(jax.jit(lambda x: 2 * x), jnp.arange(3))
    assert double(jnp.arange(3)).tolist() == [0, 2, 4]
    assert (coordination.process_count(), coordination.process_index()) == (1, 0)


def test_messages_come_in_the_order_of_the_processes(service):
    service.say("greeting", "from 1")
    assert exchange("greeting", "from 0") == ["from 0", "from 1"]
    service.say("greeting", "again from 1", number=2)
    assert exchange("greeting", "again from 0") == ["again from 0", "again from 1"]


@pytest.mark.usefixtures("service")
def test_a_process_that_does_not_come_is_named():
    with pytest.raises(UserError, match=r"^process 1 on node1 did not send its greeting within 2 s; "):
        exchange("greeting", "from 0", deadline=2)


@pytest.mark.usefixtures("service")
def test_all_that_do_not_compile_are_named(monkeypatch):
    monkeypatch.setattr(coordination.distributed.global_state, "num_processes", 3)
    with pytest.raises(
        UserError, match=r"^process 1 on node1 and process 2 did not send its compiled program"
    ):
        compile_together(jax.jit(lambda x: x + 1), 1)


def test_other_errors_of_the_service_keep_their_traceback(service):
    def fail(*_):
        raise jax.errors.JaxRuntimeError("INTERNAL: broken")

    service.blocking_key_value_get = fail
    with pytest.raises(jax.errors.JaxRuntimeError, match="INTERNAL"):
        exchange("greeting", "from 0")


@pytest.mark.usefixtures("service")
def test_a_process_is_described_with_its_host_if_that_is_known():
    assert [describe(1), describe(2)] == ["process 1 on node1", "process 2"]
