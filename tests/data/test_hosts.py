"""Real processes, one per host, each of which holds its rows of the global batch."""

import json

import pytest

from tests.support import QUICK_TO_COMPILE
from tests.support.processes import free_port, outputs, start

pytestmark = pytest.mark.slow

# Without a meeting after the compilation, the first common operation of the devices would fail after 30 s.
LONGER_THAN_GLOO_WAITS = 35


def run(hosts: int, *, devices: int = 1, seconds: int = 0) -> list[dict]:
    """Run tests/support/host.py on each host; the last one compiles for some seconds at least."""
    port = free_port()
    flags = QUICK_TO_COMPILE
    flags += f" --xla_force_host_platform_device_count={devices}"
    processes = [
        start("-m", "tests.support.host", port, hosts, host, seconds * (host == hosts - 1), XLA_FLAGS=flags)
        for host in range(hosts)
    ]
    return [json.loads(out.splitlines()[-1]) for out in outputs(processes)]


@pytest.fixture(scope="module")
def single_host():
    (result,) = run(1)
    assert result["devices"] == 1
    return result


@pytest.mark.parametrize(
    ("hosts", "devices", "seconds"), [(2, 1, LONGER_THAN_GLOO_WAITS), (2, 2, 0), (4, 1, 0)]
)
def test_batches_and_figures_do_not_depend_on_the_hosts(single_host, hosts, devices, seconds):
    results = run(hosts, devices=devices, seconds=seconds)
    assert {result["devices"] for result in results} == {hosts * devices}
    rows: dict[str, str] = {}
    for result in results:
        assert len(result["rows"]) == len(single_host["rows"]) // hosts, "a host reads only its own rows"
        rows |= result["rows"]
    assert rows == single_host["rows"]
    expected = single_host["figures"]
    assert (expected["num_examples"], expected["bad_images"]) == (1000, 0)
    for result in results:
        # Counts are equal; losses are summed in another order.
        assert result["figures"] == {**expected, "loss": pytest.approx(expected["loss"], rel=1e-6)}
