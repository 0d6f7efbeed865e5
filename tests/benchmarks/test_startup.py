import json

import pytest

from tests.support.commands import run_module

pytestmark = pytest.mark.slow


@pytest.mark.usefixtures("quick_to_compile")
def test_the_command_measures_a_cold_and_a_warm_start(tmp_path):
    out = tmp_path / "figures.json"
    process = run_module("benchmarks.startup", "--rounds=1", "--image_size=32", f"--out={out}")
    assert process.returncode == 0, process.stderr
    result = json.loads(process.stdout.splitlines()[-1])
    assert json.loads(out.read_text()) == result
    phases = ("set_up", "compiled", "first_step", "evaluated")
    for name in ("cold", "warm"):
        ends = [result[name][f"{phase}_cpu_seconds"] for phase in phases]
        assert ends == sorted(ends)
        assert 0 < result[name]["first_line_seconds"] <= result[name]["set_up_seconds"]
    restore = [result["restore"][f"{phase}_cpu_seconds"] for phase in ("imported", "loaded", "predicted")]
    assert restore == sorted(restore)
    assert result["rounds"] == 1
    assert min(result["load_average_before"], result["conditions"]["load_average"]) >= 0
    assert result["conditions"].keys() >= {"commit", "dirty", "versions", "device", "cores", "machine"}


def test_a_directory_that_is_not_a_clone_is_refused(tmp_path):
    process = run_module("benchmarks.startup", f"--checkout={tmp_path}")
    assert process.returncode == 1
    assert f"{tmp_path} is not a clone of the project" in process.stderr
