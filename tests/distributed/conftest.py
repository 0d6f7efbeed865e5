import jax
import pytest
from jax._src import distributed

from flax_googlenet.distributed import coordination


class Service:
    """The coordination service of two processes on node0 and node1, of which this one is the first."""

    def __init__(self):
        self.values: dict[str, str] = {}
        self.fails = ""

    def say(self, topic: str, message: str, *, index: int = 1, number: int = 1) -> None:
        """Send a message as another process."""
        self.values[coordination.key_of(topic, number, index)] = message

    def key_value_set(self, key, value, allow_overwrite=False):
        self._answer()
        assert allow_overwrite or key not in self.values
        self.values[key] = value

    def key_value_dir_get(self, prefix):
        self._answer()
        return [(key, value) for key, value in self.values.items() if key.startswith(f"{prefix}/")]

    def blocking_key_value_get(self, key, timeout_in_ms):
        assert timeout_in_ms > 0
        if key not in self.values:
            raise jax.errors.JaxRuntimeError("DEADLINE_EXCEEDED: GetKeyValue() timed out")
        return self.values[key]

    def _answer(self):
        if self.fails:
            raise jax.errors.JaxRuntimeError(self.fails)


@pytest.fixture
def service(monkeypatch):
    service = Service()
    monkeypatch.setattr(distributed.global_state, "client", service)
    monkeypatch.setattr(distributed.global_state, "num_processes", 2)
    monkeypatch.setattr(coordination, "_exchanges", type(coordination._exchanges)())
    monkeypatch.setattr(coordination, "_hosts", ["node0", "node1"])
    return service
