"""launch/tpu/tpu.sh with a `gcloud` that records its calls, and runs what it is told to run on a host."""

import json
import os
import pathlib
import subprocess
import sys

import pytest

from tests.support.commands import REPOSITORY

SCRIPT = REPOSITORY / "launch/tpu/tpu.sh"
SLICE = {"TPU": "googlenet", "ZONE": "us-east5-b", "TYPE": "v6e-16", "RUNTIME": "v2-alpha-tpuv6e"}
IMAGE = "us-docker.pkg.dev/project/repository/googlenet:1"

# Appends its name and arguments to $CALLS; runs what ssh is to run; and answers with the next of $STATES.
FAKE = f"""#!{sys.executable}
import json, os, pathlib, subprocess, sys
name, arguments = pathlib.Path(sys.argv[0]).name, sys.argv[1:]
with open(os.environ["CALLS"], "a") as calls:
    print(json.dumps([name, *arguments]), file=calls)
if name == "sudo":
    sys.exit(subprocess.run(arguments).returncode)
if name == "docker" and arguments[0] in ("stop", "rm"):
    sys.exit(int(os.environ.get("NO_CONTAINER", "0")))
if "ssh" in arguments:
    (command,) = [a.removeprefix("--command=") for a in arguments if a.startswith("--command=")]
    sys.exit(subprocess.run(["bash", "-c", command]).returncode)
if "describe" in arguments:
    states = pathlib.Path(os.environ["STATES"])
    first, *rest = states.read_text().split()
    print(first)
    states.write_text(" ".join(rest))
"""


class Ran(subprocess.CompletedProcess[str]):
    calls: list[list[str]]


@pytest.fixture
def run(tmp_path):
    """Run the script with arguments and variables; return its process, with `calls` of gcloud and docker."""
    for name in ("gcloud", "docker", "sudo"):
        (tmp_path / name).write_text(FAKE)
        (tmp_path / name).chmod(0o755)
    calls, states = tmp_path / "calls", tmp_path / "states"

    def run(*arguments: str, becomes: str = "ACTIVE", **variables: str) -> Ran:
        calls.write_text("")
        states.write_text(becomes)
        process = subprocess.run(
            [SCRIPT, *arguments],
            env={
                "PATH": f"{tmp_path}:{os.environ['PATH']}",
                "CALLS": str(calls),
                "STATES": str(states),
                "POLL": "0",
                **variables,
            },
            capture_output=True,
            text=True,
            check=False,
            timeout=60,
        )
        ran = Ran(process.args, process.returncode, process.stdout, process.stderr)
        ran.calls = [json.loads(line) for line in calls.read_text().splitlines()]
        return ran

    return run


def test_shellcheck_has_no_objection():
    shellcheck = pathlib.Path(sys.executable).parent / "shellcheck"
    process = subprocess.run([shellcheck, SCRIPT], capture_output=True, text=True, check=False)
    assert process.returncode == 0, process.stdout


@pytest.mark.parametrize("spot", ["", "1"])
def test_create_requests_a_slice_and_waits_for_it(run, spot):
    ran = run("create", becomes="WAITING_FOR_RESOURCES PROVISIONING ACTIVE", SPOT=spot, **SLICE)
    assert ran.returncode == 0, ran.stderr
    request, *waiting = ran.calls
    assert request[:6] == ["gcloud", "compute", "tpus", "queued-resources", "create", "googlenet"]
    assert set(request[6:]) == {
        "--node-id=googlenet",
        "--zone=us-east5-b",
        "--accelerator-type=v6e-16",
        "--runtime-version=v2-alpha-tpuv6e",
        *(["--spot"] if spot else []),
    }
    assert [call[4] for call in waiting] == ["describe"] * 3
    assert ran.stderr.splitlines()[-1] == "googlenet: ACTIVE"


def test_a_request_that_fails_is_said(run):
    ran = run("create", becomes="PROVISIONING FAILED", **SLICE)
    assert ran.returncode == 1
    assert ran.stderr.splitlines()[-1] == "error: The slice is FAILED; delete it, and request another."


@pytest.mark.parametrize("no_container", ["0", "1"])
def test_start_runs_the_image_on_all_hosts(run, no_container):
    """An argument arrives as it was given, whatever a shell would make of it."""
    given = ["launch.train", "--config.duration=60 epochs", "--workdir=gs://bucket/it's", "$HOME;*"]
    ran = run("start", *given, IMAGE=IMAGE, NO_CONTAINER=no_container, **SLICE)
    assert ran.returncode == 0, ran.stderr
    ssh, *_ = ran.calls
    assert ssh[:6] == ["gcloud", "compute", "tpus", "tpu-vm", "ssh", "googlenet"]
    assert {"--zone=us-east5-b", "--worker=all"} <= set(ssh)
    assert ["gcloud", "auth", "configure-docker", "us-docker.pkg.dev", "--quiet"] in ran.calls
    assert ["docker", "pull", "--quiet", IMAGE] in ran.calls
    assert ["docker", "stop", "train"] in ran.calls
    assert (["docker", "rm", "train"] in ran.calls) == (no_container == "0")
    started = ran.calls[-1]
    assert started[:3] == ["docker", "run", "--detach"]
    assert {"--name=train", "--privileged", "--net=host"} <= set(started)
    assert {"--restart=on-failure:100", "--stop-timeout=300"} <= set(started)
    assert started[-5:] == [IMAGE, *given]


def test_start_fails_with_the_hosts(run):
    """A host without the image is not left behind in silence."""
    ran = run("start", "launch.train", IMAGE=IMAGE, PATH=os.environ["PATH"], **SLICE)
    assert ran.returncode != 0


@pytest.mark.parametrize(
    ("command", "words"),
    [
        ("logs", ["docker", "logs", "--follow", "--tail=50", "train"]),
        ("stop", ["docker", "stop", "train"]),
    ],
)
def test_logs_and_stop(run, command, words):
    ran = run(command, **SLICE)
    assert ran.returncode == 0, ran.stderr
    assert "--worker=all" in ran.calls[0]
    assert ran.calls[-1] == words


def test_delete(run):
    ((*words, zone, force, quiet),) = run("delete", **SLICE).calls
    assert words == ["gcloud", "compute", "tpus", "queued-resources", "delete", "googlenet"]
    assert (zone, force, quiet) == ("--zone=us-east5-b", "--force", "--quiet")


@pytest.mark.parametrize("missing", ["TPU", "ZONE", "TYPE", "RUNTIME"])
def test_a_missing_variable_is_named(run, missing):
    ran = run("create", **{name: value for name, value in SLICE.items() if name != missing})
    assert ran.returncode == 2
    assert f"error: {missing} is not set" in ran.stderr
    assert ran.calls == []


def test_without_a_command_it_explains_itself(run):
    ran = run()
    assert ran.returncode == 2
    assert "launch/tpu/tpu.sh create" in ran.stderr
