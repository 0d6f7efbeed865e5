"""Running the commands as a user does, and reading what they leave behind."""

import ast
import contextlib
import json
import logging
import os
import pathlib
import re
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator
from typing import Any

from absl import flags
from jax.profiler import ProfileData

REPOSITORY = pathlib.Path(__file__).parents[2]

# The shipped config, shrunk: the same network on 32x32 pixels for forty steps.
TINY = (
    "--config.data.image_size=32",
    "--config.data.resize=32",
    "--config.batch_size=16",
    "--config.duration=40 steps",
    "--config.schedule.warmup=10 steps",
    "--config.log_every=1 step",
    "--config.evaluation.every=20 steps",
    "--config.checkpoint.every=8 steps",
)

# All child processes share a compilation cache, those of other test processes too: what one has compiled,
# the next one reads in a third of the time.
_COMPILED = os.environ.get("TESTS_COMPILED", "")
if not _COMPILED:
    _DIRECTORY = tempfile.TemporaryDirectory(prefix="compiled-")
    os.environ["TESTS_COMPILED"] = _COMPILED = _DIRECTORY.name

Process = subprocess.CompletedProcess[str]
Run = Callable[..., Process]


def process_environment(devices: int = 1) -> dict[str, str]:
    """Return the environment of a child process on CPU, with a number of fake devices."""
    flags = os.environ.get("TESTS_XLA_FLAGS", "")
    flags += f" --xla_force_host_platform_device_count={devices}" if devices > 1 else ""
    return {
        **os.environ,
        "JAX_PLATFORMS": "cpu",
        "XLA_FLAGS": flags.strip(),
        "PYTHONWARNINGS": "ignore",
        "JAX_COMPILATION_CACHE_DIR": _COMPILED,
    }


def run_module(module: str, *arguments: object, devices: int = 1, timeout: float = 600) -> Process:
    """Run `python -m MODULE` as a user would, on one or more fake devices."""
    return subprocess.run(
        [sys.executable, "-m", module, *map(str, arguments)],
        cwd=REPOSITORY,
        env=process_environment(devices),
        capture_output=True,
        text=True,
        check=False,
        timeout=timeout,
    )


def result_of(process: Process) -> dict[str, Any]:
    """Return the result that a successful command printed."""
    assert process.returncode == 0, process.stderr
    result: dict[str, Any] = json.loads(process.stdout.splitlines()[-1])
    return result


def error_of(process: Process, status: int = 1) -> str:
    """Return the one line with which a command refused its work."""
    assert process.returncode == status, process.stderr
    assert process.stdout == ""
    assert "Traceback" not in process.stderr
    *_, last = process.stderr.splitlines()
    assert last.startswith("error: ")
    return last


def read_metrics(workdir: pathlib.Path) -> list[dict[str, float]]:
    """Return the records of a run's metrics.jsonl, in order."""
    return [json.loads(line) for line in (workdir / "metrics.jsonl").read_text().splitlines()]


def traced_steps(workdir: pathlib.Path) -> list[int]:
    """Return the numbers of the steps in the traces of a run."""
    return [
        int(dict(event.stats)["step_num"])
        for file in sorted((workdir / "profile").rglob("*.xplane.pb"))
        for plane in ProfileData.from_file(str(file)).planes
        for line in plane.lines
        for event in line.events
        if event.name == "train"
    ]


@contextlib.contextmanager
def as_in_a_new_process() -> Iterator[None]:
    """Hide the flags of commands that other tests have imported, and undo changes to flags and logging."""
    hidden = [
        (module, flag)
        for module, module_flags in flags.FLAGS.flags_by_module_dict().items()
        if module.startswith(("launch.", "benchmarks.", "studies.")) and "launch.common" not in module
        for flag in module_flags
    ]
    for _, flag in hidden:
        delattr(flags.FLAGS, flag.name)
    known = set(flags.FLAGS)
    loggers = [logging.getLogger(name) for name in ("flax_googlenet", "launch")]
    states = [(logger.level, logger.handlers, logger.propagate) for logger in loggers]
    try:
        yield
    finally:
        for name in set(flags.FLAGS) - known:
            delattr(flags.FLAGS, name)
        for module, flag in hidden:
            flags.FLAGS[flag.name] = flag
            flags.FLAGS.register_flag_by_module(module, flag)
        flags.FLAGS.unparse_flags()
        for logger, (level, handlers, propagate) in zip(loggers, states, strict=True):
            logger.setLevel(level)
            logger.handlers, logger.propagate = handlers, propagate


def defined_flags(module: str) -> set[str]:
    """Return the flags that a command has of its own or adopts, and those that all commands share."""
    path = REPOSITORY / module.replace(".", "/")
    file = path / "__main__.py" if path.is_dir() else path.with_suffix(".py")
    text = file.read_text()
    own = re.findall(r'(?:DEFINE_\w+\(\s*"|add_argument\("--)(\w+)"', text)
    names = {
        alias.asname or alias.name: f"{node.module}.{alias.name}"
        for node in ast.walk(ast.parse(text))
        if isinstance(node, ast.ImportFrom)
        for alias in node.names
    }
    for adopted in re.findall(r"adopt_module_key_flags\((\w+)\)", text):
        own += defined_flags(names[adopted])
    return {"help", "compilation_cache", *own}
