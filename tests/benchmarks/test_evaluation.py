import json

import pytest

from tests.support.commands import run_module


@pytest.mark.usefixtures("quick_to_compile")
@pytest.mark.slow
def test_the_command_compares_evaluation_with_the_forward_pass():
    process = run_module(
        "benchmarks.evaluation",
        "--crops=10",
        "--images=3",
        "--rounds=1",
        "--image_size=32",
        "--batch_size=20",
    )
    assert process.returncode == 0, process.stderr
    result = json.loads(process.stdout.splitlines()[-1])
    assert (result["crops"], result["images"]) == (10, 3)
    assert result["crops_per_second"] > 0
    assert result["forward_alone"] > 0
    assert 0 < result["share"] < 10
