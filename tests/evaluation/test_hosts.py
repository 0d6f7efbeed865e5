"""Evaluation by real processes, one per host."""

import json

import cv2
import numpy as np
import pytest

from tests.evaluation.host import CLASSES
from tests.support import QUICK_TO_COMPILE
from tests.support.processes import free_port, outputs, start

pytestmark = pytest.mark.slow

PER_CLASS = 17  # 51 images, so that the last batch is padded


@pytest.fixture(scope="module")
def images(tmp_path_factory, rng):
    root = tmp_path_factory.mktemp("images")
    for name in CLASSES:
        (root / "val" / name).mkdir(parents=True)
        for index in range(PER_CLASS):
            image = rng.integers(0, 256, (36, 40, 3), dtype=np.uint8)
            cv2.imwrite(str(root / "val" / name / f"{index}.png"), image)
    return root


def evaluate(images, *, hosts: int, devices: int) -> dict:
    """Return the figures of an ensemble with 10 crops, which are the same on all hosts."""
    port = free_port()
    flags = f"{QUICK_TO_COMPILE} --xla_force_host_platform_device_count={devices}"
    processes = [
        start("-m", "tests.evaluation.host", images, port, hosts, host, XLA_FLAGS=flags)
        for host in range(hosts)
    ]
    results = [json.loads(out.splitlines()[-1]) for out in outputs(processes)]
    assert all(result == results[0] for result in results)
    return results[0]


def test_two_hosts_give_the_figures_of_one_with_as_many_devices(images):
    """They do so to the bit: every device does the same work, and its sums are added up exactly.

    An all-reduce would add up the sums of four devices in another order on two hosts than on one.
    """
    one, two = (evaluate(images, hosts=hosts, devices=4 // hosts) for hosts in (1, 2))
    assert (one["num_examples"], one["models"], one["crops"]) == (len(CLASSES) * PER_CLASS, 2, 10)
    assert two == one
