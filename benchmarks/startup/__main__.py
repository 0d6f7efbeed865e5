"""How long it takes until something happens: to the first line, to the first step, to the first prediction.

  python -m benchmarks.startup
  python -m benchmarks.startup --checkout=ANOTHER_CLONE --out=FILE.json
  python -m benchmarks.startup --out=FILE.md

Runs `launch.train` on the embedded sample for two steps, in processes of their own: cold, when nothing was
compiled before, and warm, the same again. Then `flax_googlenet.load` opens what was trained and predicts an
image. Seconds by the clock depend on what else the machine does; CPU seconds, of all threads, much less. The
best of the rounds counts.
"""

import json
import os
import pathlib
import platform
import subprocess
import sys
import tempfile
import time
from collections.abc import Mapping, Sequence
from typing import Any

import jax
import matplotlib
import psutil
from absl import flags

from flax_googlenet.errors import UserError
from launch import command

_CHECKOUT = flags.DEFINE_string("checkout", ".", "Clone of the project whose code is measured.")
_ROUNDS = flags.DEFINE_integer("rounds", 2, "How often everything is measured.", lower_bound=1)
_SIZE = flags.DEFINE_integer("image_size", 56, "Side of the images in pixels.", lower_bound=32)
_OUT = flags.DEFINE_string("out", None, "File for the figures: a table if it ends in .md, else JSON.")

# What a line on stderr begins with -> the phase that it ends. Former versions have not all of them.
_PHASES = {
    "training for": "set_up",
    "compiled the training step": "compiled",
    "step 1/": "first_step",
    "step 2/2: evaluated": "evaluated",
}

_RESTORE = """
import json, sys, time
clock, cpu = time.perf_counter, time.process_time
started = clock()
import numpy as np
import flax_googlenet
imported = cpu()
classifier = flax_googlenet.load(sys.argv[1])
loaded = cpu()
classifier.predict([np.zeros((64, 64, 3), np.uint8)], batch_size=1)
print(json.dumps({
    "seconds": clock() - started, "imported_cpu_seconds": imported, "loaded_cpu_seconds": loaded,
    "predicted_cpu_seconds": cpu(),
}))
"""

Figures = dict[str, float]


def main(arguments: Sequence[str]) -> dict[str, Any]:
    command.refuse_arguments(arguments)
    checkout = pathlib.Path(_CHECKOUT.value).resolve()
    if not (checkout / "launch/train.py").is_file():
        raise UserError(f"{checkout} is no clone of the project; choose another --checkout.")
    rounds: dict[str, list[Figures]] = {"cold": [], "warm": [], "restore": []}
    load_before = os.getloadavg()
    for number in range(_ROUNDS.value):
        with tempfile.TemporaryDirectory(prefix="startup-") as directory:
            for name in ("cold", "warm"):
                rounds[name].append(_train(checkout, pathlib.Path(directory), name))
                print(f"round {number + 1}: {name} {rounds[name][-1]}", file=sys.stderr)
            rounds["restore"].append(_restore(checkout, pathlib.Path(directory)))
            print(f"round {number + 1}: restore {rounds['restore'][-1]}", file=sys.stderr)
    result = {
        **{name: _best(figures) for name, figures in rounds.items()},
        "rounds": _ROUNDS.value,
        "image_size": _SIZE.value,
        "commit": _commit(checkout),
        "device": f"{jax.devices()[0].device_kind}, {os.cpu_count()} cores, {platform.machine()}",
        "versions": f"Python {platform.python_version()}, jax {jax.__version__}",
        "load_average": [round(load, 1) for load in (load_before[0], os.getloadavg()[0])],
    }
    if _OUT.value:
        _write(pathlib.Path(_OUT.value), result)
    return result


def _train(checkout: pathlib.Path, directory: pathlib.Path, name: str) -> Figures:
    """Run two steps and return when each phase ended, in seconds and CPU seconds since the start."""
    overrides = (
        f"--config.data.image_size={_SIZE.value}",
        f"--config.data.resize={_SIZE.value}",
        "--config.duration=2 steps",
        "--config.log_every=1 step",
    )
    started = time.perf_counter()
    process = subprocess.Popen(
        [sys.executable, "-m", "launch.train", f"--workdir={directory / name}", *overrides],
        cwd=checkout,
        env=_environment(directory),
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        text=True,
    )
    usage = psutil.Process(process.pid)
    figures: Figures = {}
    said = []
    assert process.stderr is not None
    for line in process.stderr:
        said.append(line)
        seconds = round(time.perf_counter() - started, 2)
        times = usage.cpu_times()
        figures.setdefault("first_line_seconds", seconds)
        for words, phase in _PHASES.items():
            if line.startswith(words):
                figures[f"{phase}_seconds"] = seconds
                figures[f"{phase}_cpu_seconds"] = round(times.user + times.system, 2)
    if process.wait():
        raise UserError(f"launch.train in {checkout} failed: {''.join(said).strip()}")
    return figures


def _restore(checkout: pathlib.Path, directory: pathlib.Path) -> Figures:
    process = subprocess.run(
        [sys.executable, "-c", _RESTORE, str(directory / "cold")],
        cwd=checkout,
        env=_environment(directory),
        capture_output=True,
        text=True,
        check=False,
    )
    if process.returncode:
        raise UserError(f"flax_googlenet.load in {checkout} failed: {process.stderr.strip()}")
    figures: Figures = json.loads(process.stdout.splitlines()[-1])
    return {name: round(value, 2) for name, value in figures.items()}


def _environment(directory: pathlib.Path) -> dict[str, str]:
    """Return an environment with caches of its own, but for matplotlib's list of fonts."""
    kept = {name: value for name, value in os.environ.items() if name != "JAX_COMPILATION_CACHE_DIR"}
    return {**kept, "XDG_CACHE_HOME": str(directory / "cache"), "MPLCONFIGDIR": matplotlib.get_cachedir()}


def _best(rounds: Sequence[Figures]) -> Figures:
    return {name: min(figures[name] for figures in rounds) for name in rounds[0]}


def _commit(checkout: pathlib.Path) -> str:
    def git(*arguments: str) -> str:
        return subprocess.run(
            ["git", "-C", str(checkout), *arguments], capture_output=True, text=True, check=False
        ).stdout.strip()

    return git("rev-parse", "--short", "HEAD") + (" with changes" if git("status", "--porcelain") else "")


def _write(path: pathlib.Path, result: Mapping[str, Any]) -> None:
    text = _table(result) if path.suffix == ".md" else json.dumps(result)
    try:
        path.write_text(text + "\n", encoding="utf-8")
    except OSError as error:
        raise UserError(f"Cannot write {path}: {error.strerror}; choose another --out.") from error


def _table(result: Mapping[str, Any]) -> str:
    rows = [
        f"| {name} | {figure.replace('_', ' ')} | {value:g} |"
        for name in ("cold", "warm", "restore")
        for figure, value in result[name].items()
    ]
    about = (
        f"Commit {result['commit']}; {result['device']}; {result['versions']}; load average "
        f"{' to '.join(map(str, result['load_average']))}; best of {result['rounds']}."
    )
    return "\n".join([about, "", "| start | figure | value |", "|---|---|---|", *rows])


if __name__ == "__main__":
    command.run(main)
