import json
import subprocess
import sys

import pytest

from tests.conftest import REPOSITORY, process_environment


@pytest.mark.slow
def test_the_command_compares_evaluation_with_the_forward_pass():
    process = subprocess.run(
        [
            *(sys.executable, "-m", "benchmarks.evaluation", "--crops=10", "--images=3", "--rounds=1"),
            *("--image_size=32", "--batch_size=20"),
        ],
        cwd=REPOSITORY,
        env=process_environment(),
        capture_output=True,
        text=True,
        check=False,
        timeout=300,
    )
    assert process.returncode == 0, process.stderr
    result = json.loads(process.stdout.splitlines()[-1])
    assert (result["crops"], result["images"]) == (10, 3)
    assert result["crops_per_second"] > 0
    assert result["forward_alone"] > 0
    assert 0 < result["share"] < 10
