"""Compiled programs are reused, and a problem with the cache is never an error."""

import json
import os
import pathlib
import subprocess
import sys
import types

import jax
import pytest

from launch.common import compilation_cache
from tests.support.commands import REPOSITORY, process_environment
from tests.support.processes import free_port, outputs, start


@pytest.fixture
def turn_on(monkeypatch):
    """A function that turns the cache on for a value of the flag and returns the settings of JAX."""

    def turned_on(directory: object, *, present: bool = True) -> dict[str, object]:
        flag = types.SimpleNamespace(value=str(directory), present=present)
        updates: dict[str, object] = {}
        monkeypatch.setattr(compilation_cache, "_DIRECTORY", flag)
        monkeypatch.setattr(jax.config, "update", updates.__setitem__)
        monkeypatch.setattr(compilation_cache, "_empty_if_corrupt", lambda _: None)
        compilation_cache.turn_on()
        return updates

    return turned_on


def test_every_model_of_processor_has_its_own_directory(turn_on, tmp_path):
    directory = pathlib.Path(turn_on(tmp_path / "new")["jax_compilation_cache_dir"])
    assert directory.parent == tmp_path / "new"
    assert directory.is_dir()


@pytest.mark.parametrize("value", ["", "none"])
def test_the_flag_disables_the_cache(turn_on, value):
    assert turn_on(value) == {"jax_enable_compilation_cache": False}


def test_a_directory_from_the_environment_replaces_the_default(turn_on, tmp_path, monkeypatch):
    monkeypatch.setattr(type(jax.config), "jax_compilation_cache_dir", "/mine", raising=False)
    assert turn_on(tmp_path / "default", present=False) == {}
    assert "jax_compilation_cache_dir" in turn_on(tmp_path / "chosen")


def test_a_directory_that_cannot_be_made_is_a_warning(turn_on, tmp_path, caplog):
    (tmp_path / "file").touch()
    assert turn_on(tmp_path / "file/cache") == {}
    assert "compiled programs are not kept" in caplog.text


@pytest.mark.parametrize(
    ("limit", "kept"), [(300, "abc"), (299, "bc"), (100, "c"), (99, "")], ids=["fits", "one", "two", "all"]
)
def test_the_least_recently_used_programs_are_removed_first(tmp_path, limit, kept):
    for age, name in enumerate("cba"):
        path = tmp_path / f"{name}-cache"
        path.write_bytes(bytes(100))
        os.utime(path, (1e9 - age, 1e9 - age))
    (tmp_path / "other").write_bytes(bytes(1000))
    compilation_cache._bound(tmp_path, limit)
    assert sorted(path.name[0] for path in tmp_path.glob("*-cache")) == list(kept)
    assert (tmp_path / "other").exists()


@pytest.mark.slow
def test_the_library_does_not_turn_the_cache_on():
    environment = process_environment()
    del environment["JAX_COMPILATION_CACHE_DIR"]
    imports = (
        "import flax_googlenet, flax_googlenet.training, jax; print(jax.config.jax_compilation_cache_dir)"
    )
    process = subprocess.run(
        [sys.executable, "-c", imports],
        cwd=REPOSITORY,
        env=environment,
        capture_output=True,
        text=True,
        check=False,
    )
    assert process.stdout == "None\n", process.stderr


@pytest.mark.slow
def test_a_program_serves_all_processes_of_a_run(tmp_path):
    def logs(name: str) -> list[str]:
        port, workdir = free_port(), tmp_path / name
        flags = [f"--workdir={workdir}", f"--compilation_cache={tmp_path / 'compiled'}", "--num_processes=2"]
        flags += ["--config.duration=1 steps", "--config.data.image_size=32", "--config.data.resize=32"]
        flags += ["--config.schedule.warmup=0 steps", f"--coordinator=localhost:{port}"]
        module = ("-m", "tests.distributed.small_train")
        processes = [start(*module, *flags, f"--process_id={index}") for index in range(2)]
        outputs(processes)
        return [(workdir / "logs" / f"process_{index}.log").read_text() for index in range(2)]

    compiled, saved = "compiled the training step in ", "the compilation cache saved "
    assert [(compiled in log, saved in log) for log in logs("cold")] == 2 * [(True, False)]
    assert [(compiled in log, saved in log) for log in logs("warm")] == 2 * [(True, True)]


@pytest.mark.slow
def test_a_corrupt_program_is_replaced(trained, tmp_path):
    def predict() -> subprocess.CompletedProcess[str]:
        environment = {**process_environment(), "XDG_CACHE_HOME": str(tmp_path)}
        del environment["JAX_COMPILATION_CACHE_DIR"]
        process = subprocess.run(
            [sys.executable, "-m", "launch.predict", f"--checkpoint={trained}", "docs/seven.png"],
            cwd=REPOSITORY,
            env=environment,
            capture_output=True,
            text=True,
            check=False,
        )
        assert process.returncode == 0, process.stderr
        return process

    def programs() -> dict[str, int]:
        # Smaller programs are kept only if they happen to take a tenth of a second to compile.
        paths = (tmp_path / "flax_googlenet/compilation").glob("*/jit_forward-*-cache")
        return {path.name: path.stat().st_size for path in paths}

    cold = predict()
    written = programs()
    assert len(written) > 0
    warm = predict()
    assert (warm.stdout, programs()) == (cold.stdout, written)
    for path in (tmp_path / "flax_googlenet/compilation").glob("*/*-cache"):
        path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])
    mended = predict()
    assert mended.stdout == cold.stdout
    assert mended.stderr.count("warning: the compilation cache in") == 1
    assert "Traceback" not in mended.stderr
    assert programs().keys() == written.keys()
    again = predict()
    assert "warning" not in again.stderr
    assert json.loads(again.stdout) == json.loads(cold.stdout)
