import json

import pytest

from tests.support.commands import run_module

pytestmark = [pytest.mark.slow, pytest.mark.usefixtures("quick_to_compile")]

TINY = ("--image_size=64", "--batch_size=2", "--rounds=1", "--calls=1")
STATUSES = (0, 3)  # 3 is that of a busy machine


def run(*arguments):
    process = run_module("benchmarks.train_step", *TINY, *arguments)
    assert process.returncode in STATUSES, process.stderr
    return json.loads(process.stdout.splitlines()[-1])


def test_the_command_measures_the_step_beside_pytorch(tmp_path):
    variant, out = "bvlc", tmp_path / "result.json"
    result = run(f"--variant={variant}", "--peer=torch_eager", "--checkout=.", f"--out={out}")
    assert json.loads(out.read_text()) == result
    forms = result["results"][variant]["forms"]
    assert list(forms) == ["ours", "torch_eager", "checkout"]
    for form in forms.values():
        assert form["images_per_second"] == pytest.approx(2 / form["seconds"], abs=0.01)
        assert form["share_of_roof"] > 0
    assert forms["ours"]["temp_bytes"] > 0
    assert forms["checkout"]["commit"] == result["conditions"]["commit"]
    assert result["results"][variant]["ratios"].keys() == {"torch_eager", "checkout"}
    assert result["conditions"]["versions"].keys() >= {"jax", "torch", "torchvision"}


def test_options_of_xla_can_be_tried_in_turn():
    option = "xla_cpu_enable_fast_math=True"
    result = run(f"--xla_options={option}")
    assert list(result["results"]) == [f"torchvision, {option}"]
    assert list(result["results"][f"torchvision, {option}"]["forms"]) == ["ours", option]


def test_steps_in_one_program_are_timed_one_by_one():
    result = run("--steps_in_program=3")
    forms = result["results"]["torchvision, 3 steps in one program"]["forms"]
    one, several = forms["ours"], forms["3 steps in one program"]
    assert several["flop"] == one["flop"]
    assert several["images_per_second"] == pytest.approx(2 / several["seconds"], abs=0.01)


@pytest.mark.parametrize("option", ["xla_cpu_enable_fast_math", "=true"])
def test_an_option_of_xla_has_a_name_and_a_value(option):
    process = run_module("benchmarks.train_step", f"--xla_options={option}")
    assert process.returncode == 1
    assert f'--xla_options has "{option}"; write NAME=VALUE' in process.stderr


def test_an_unknown_variant_is_refused():
    process = run_module("benchmarks.train_step", "--variant=torchvison")
    assert process.returncode == 1
    assert '--variant has no choice "torchvison"; did you mean "torchvision"' in process.stderr
