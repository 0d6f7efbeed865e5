import json

import pytest

from benchmarks import tables
from tests.support.commands import run_module


@pytest.mark.usefixtures("quick_to_compile")
@pytest.mark.slow
def test_the_command_compares_the_buffers(tmp_path):
    out = tmp_path / "memory.json"
    process = run_module(
        "benchmarks.step_memory", "--variants=paper", "--batch_size=16", "--image_size=64", f"--out={out}"
    )
    assert process.returncode == 0, process.stderr
    result = json.loads(process.stdout.splitlines()[-1])
    assert json.loads(out.read_text()) == result
    sizes = result["megabytes"]["paper"]
    assert 0 < sizes["remat"] < sizes["kept"]
    assert f"| `paper` | {sizes['kept']} MB | {sizes['remat']} MB | " in tables.step_memory(result)
