"""The experiment of docs/going_on_without_a_restart.md: real processes, one of which is killed."""

import json
import signal

import numpy as np
import pytest

from tests.distributed.survivor import STEPS
from tests.support.processes import free_port, start

pytestmark = pytest.mark.slow

LOST_AT = 3
# Without the timeout, process 0 waits in the all-reduce for minutes at least.
FLAGS = "--xla_backend_optimization_level=0 --xla_cpu_collective_timeout_seconds=20"


def begin(processes: int, lost_at: int):
    port = free_port()
    return [
        start("-m", "tests.distributed.survivor", port, processes, process, lost_at, XLA_FLAGS=FLAGS)
        for process in range(processes)
    ]


def test_two_of_three_processes_go_on_from_the_last_step():
    *survivors, lost = begin(3, LOST_AT)
    results = []
    for process in survivors:
        # Only the output counts: JAX aborts a survivor at the end of its run if process 0 ended before.
        out, errors = process.communicate(timeout=600)
        assert "lost 1 of 3 devices" in errors
        results.append(json.loads(out.splitlines()[-1]))
    assert lost.wait(60) == -signal.SIGKILL
    lost.communicate()
    assert results[0] == results[1]
    assert results[0]["devices"] == [3] * LOST_AT + [2] * (STEPS - LOST_AT)
    (alone,) = begin(1, STEPS)
    out, errors = alone.communicate(timeout=600)
    assert alone.returncode == 0, errors
    # The same global batches, and no step is lost or repeated; the gradients are added in another order.
    np.testing.assert_allclose(results[0]["losses"], json.loads(out.splitlines()[-1])["losses"], rtol=1e-4)
