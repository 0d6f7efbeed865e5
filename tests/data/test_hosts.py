"""Real processes, one a host: what each holds is its part of the one global batch."""

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
            env=process_environment(),
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        for host in range(hosts)
    ]
    found = []
    for process in processes:
        out, errors = process.communicate(timeout=300)
        assert process.returncode == 0, errors
        found.append(json.loads(out.splitlines()[-1]))
    return found


@pytest.fixture(scope="module")
def alone():
    (found,) = run(1)
    assert found["devices"] == 1
    return found


@pytest.mark.parametrize("hosts", [2, 4])
def test_batches_and_figures_do_not_depend_on_the_number_of_hosts(alone, hosts):
    found = run(hosts)
    assert {each["devices"] for each in found} == {hosts}
    rows: dict[str, str] = {}
    for each in found:
        assert len(each["rows"]) == len(alone["rows"]) // hosts, "a host reads its own rows alone"
        rows |= each["rows"]
    assert rows == alone["rows"]
    if hosts == 2:
        expected = alone["figures"]
        assert (expected["num_examples"], expected["bad_images"]) == (1000, 0)
        for each in found:
            # Counts are the same; a sum of losses is added up in another order.
            assert each["figures"] == {**expected, "loss": pytest.approx(expected["loss"], rel=1e-6)}
