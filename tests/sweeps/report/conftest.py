import pathlib

import pytest

from flax_googlenet.sweeps.report import write_report
from tests.sweeps.report.example import make_sweep


@pytest.fixture(scope="session")
def sweep(tmp_path_factory) -> pathlib.Path:
    """A sweep of three rows with three seeds, of which a run failed, and its report."""
    root = tmp_path_factory.mktemp("sweep") / "sweep"
    make_sweep(root, fail="no_dropout/seed_2")
    write_report([root], lambda config, run: f"train {config.name} --seed={run.seed}")
    return root
