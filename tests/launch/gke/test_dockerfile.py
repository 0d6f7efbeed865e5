"""The Dockerfile: hadolint's rules, the files that it copies, and the packages that it installs."""

import fnmatch
import json
import pathlib
import re
import shlex
import subprocess
import sys

import pytest

from tests.support.commands import REPOSITORY

DOCKERFILE = REPOSITORY / "launch/gke/Dockerfile"
INSTRUCTIONS = [
    re.match(r"(\w+) (.*)", line.strip()).groups()
    for line in DOCKERFILE.read_text().splitlines()
    if line.strip() and not line.startswith("#")
]


def values(instruction: str) -> list[str]:
    return [value for name, value in INSTRUCTIONS if name == instruction]


def test_hadolint_has_no_objection():
    hadolint = pathlib.Path(sys.executable).parent / "hadolint"
    process = subprocess.run([hadolint, DOCKERFILE], capture_output=True, text=True, check=False)
    assert process.returncode == 0, process.stdout + process.stderr


def test_python_is_the_first_process():
    (entrypoint,), (command,) = values("ENTRYPOINT"), values("CMD")
    assert json.loads(entrypoint) == ["python", "-m"]
    assert json.loads(command)[0] == "launch.train"


def copied() -> list[str]:
    return [source for value in values("COPY") for source in value.split()[:-1]]


def test_what_is_copied_exists_and_is_not_ignored():
    ignored = (REPOSITORY / ".dockerignore").read_text().splitlines()
    for source in copied():
        assert (REPOSITORY / source).exists(), source
        assert f"!{source}" in ignored
    # All that the installation and the commands need is in the image.
    assert {"pyproject.toml", "constraints.txt", "README.md", "LICENSE"} <= set(copied())
    assert not [path for path in copied() if fnmatch.fnmatch(path, "tests*")]


@pytest.mark.slow
def test_the_packages_can_be_installed_together(tmp_path):
    """The packages of the image are resolved, from the files that the image has; none is installed."""
    for source in copied():
        (tmp_path / source).symlink_to(REPOSITORY / source)
    (run,) = values("RUN")
    ((name, extras),) = [argument.split("=") for argument in values("ARG")]
    words = shlex.split(run.replace("${" + name + "}", extras))
    assert words[:5] == ["python", "-m", "pip", "install", "--no-cache-dir"]
    command = [
        pathlib.Path(sys.executable).parent / "uv",
        *("pip", "install", "--python", sys.executable, "--dry-run", "--reinstall", "--no-cache"),
        *words[5:],
    ]
    process = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=False, timeout=600)
    assert process.returncode == 0, process.stderr
    names = set(re.findall(r"^ \+ ([\w-]+)==", process.stderr, re.MULTILINE))
    assert {"libtpu", "gcsfs", "array-record", "mlxtend"} <= names
    assert "flax-googlenet" in process.stderr
