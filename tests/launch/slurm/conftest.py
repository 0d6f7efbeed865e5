import pathlib
import tempfile

import pytest

from tests.launch.slurm.cluster import Cluster


def pytest_collection_modifyitems(config, items):
    """Leave out the tests that need a Slurm, unless `-m slurm` asks for them."""
    if "slurm" in config.option.markexpr:
        return
    left_out = [item for item in items if item.get_closest_marker("slurm")]
    items[:] = [item for item in items if not item.get_closest_marker("slurm")]
    config.hook.pytest_deselected(items=left_out)


@pytest.fixture(scope="session")
def cluster():
    started = Cluster(pathlib.Path(tempfile.mkdtemp(prefix="slurm-")))
    yield started
    started.stop()
