import pathlib

import pytest

from flax_googlenet.sweeps.report import write_report
from tests.sweeps.report.example import make_sweep


def pytest_collection_modifyitems(config, items):
    """Leave out the tests that need a browser, unless `-m browser` asks for them."""
    if "browser" in config.option.markexpr:
        return
    left_out = [item for item in items if item.get_closest_marker("browser")]
    items[:] = [item for item in items if not item.get_closest_marker("browser")]
    config.hook.pytest_deselected(items=left_out)


@pytest.fixture(scope="session")
def sweep(tmp_path_factory) -> pathlib.Path:
    """A sweep of three rows with three seeds, of which a run failed, and its report."""
    root = tmp_path_factory.mktemp("sweep") / "sweep"
    make_sweep(root, fail="no_dropout/seed_2")
    write_report([root], lambda config, run: f"train {config.name} --seed={run.seed}")
    return root
