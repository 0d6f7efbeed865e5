"""`launch.report`: its result, the commands that it shows, and its mistakes."""

import json
import shlex

import pytest

from launch.common import config_file
from tests.sweeps.report.example import ROWS, make_sweep


@pytest.fixture
def sweeps(tmp_path):
    """Two sweeps of one run each."""
    paths = [tmp_path / "one", tmp_path / "two"]
    for path, row in zip(paths, ROWS, strict=False):
        make_sweep(path, rows=[row], seeds=1)
    return paths


@pytest.mark.parametrize("repeats_the_flag", [False, True])
def test_several_workdirs(command, capsys, sweeps, repeats_the_flag):
    joined = ",".join(map(str, sweeps))
    flags = [f"--workdir={path}" for path in sweeps] if repeats_the_flag else [f"--workdir={joined}"]
    assert command("report", *flags) == 0
    page = sweeps[0] / "report/index.html"
    assert json.loads(capsys.readouterr().out) == {"runs": 2, "report": str(page)}
    assert "two/none: +0.00 points" in page.read_text()


def test_the_commands_repeat_the_runs(command, capsys, sweeps, tmp_path):
    assert command("report", f"--workdir={sweeps[0]}", f"--out={tmp_path / 'out'}") == 0
    capsys.readouterr()
    (line,) = [
        line for line in (tmp_path / "out/index.html").read_text().splitlines() if "launch.train" in line
    ]
    words = shlex.split(line[line.index("python") : line.index("</pre>")])
    assert words[:3] == ["python", "-m", "launch.train"]
    flags = dict(word.removeprefix("--").split("=", 1) for word in words[3:])
    assert flags["workdir"] == f"{sweeps[0]}/both/seed_0_again"
    assert flags["config.seed"] == "0"
    assert config_file.load(flags["config"])["model"]["aux_heads"] == 2


def test_a_directory_without_runs_is_one_sentence(command, capsys, tmp_path):
    assert command("report", f"--workdir={tmp_path}") == 1
    streams = capsys.readouterr()
    assert streams.out == ""
    assert streams.err.splitlines()[-1].startswith(
        f"error: {tmp_path} is neither the directory of a sweep nor of"
    )


@pytest.mark.parametrize("flag", ["--workdir=", "--workdir=,"])
def test_no_workdir(command, capsys, flag):
    assert command("report", flag) == 1
    assert "There is no workdir to report on; name at least one." in capsys.readouterr().err
