"""Real processes, one per host, each of which holds its rows of the global batch."""

import contextlib
import json
import socket
import subprocess
import sys

import pytest

from tests.support.commands import REPOSITORY, process_environment

pytestmark = pytest.mark.slow


def run(hosts: int) -> list[dict]:
    with contextlib.closing(socket.create_server(("localhost", 0))) as server:
        port = server.getsockname()[1]
    processes = [
        subprocess.Popen(
            [sys.executable, "-m", "tests.support.host", str(port), str(hosts), str(host)],
            cwd=REPOSITORY,
            # Most of the time would be compilation.
            env={**process_environment(), "XLA_FLAGS": "--xla_backend_optimization_level=0"},
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        for host in range(hosts)
    ]
    results = []
    for process in processes:
        out, errors = process.communicate(timeout=300)
        assert process.returncode == 0, errors
        results.append(json.loads(out.splitlines()[-1]))
    return results


@pytest.fixture(scope="module")
def single_host():
    (result,) = run(1)
    assert result["devices"] == 1
    return result


@pytest.mark.parametrize("hosts", [2, 4])
def test_batches_and_figures_do_not_depend_on_the_number_of_hosts(single_host, hosts):
    results = run(hosts)
    assert {result["devices"] for result in results} == {hosts}
    rows: dict[str, str] = {}
    for result in results:
        assert len(result["rows"]) == len(single_host["rows"]) // hosts, "a host reads only its own rows"
        rows |= result["rows"]
    assert rows == single_host["rows"]
    if hosts == 2:
        expected = single_host["figures"]
        assert (expected["num_examples"], expected["bad_images"]) == (1000, 0)
        for result in results:
            # Counts are equal; losses are summed in another order.
            assert result["figures"] == {**expected, "loss": pytest.approx(expected["loss"], rel=1e-6)}
