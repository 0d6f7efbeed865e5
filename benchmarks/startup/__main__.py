"""Measure the time to the first line, the first training step and the first prediction.

  python -m benchmarks.startup
  python -m benchmarks.startup --checkout=ANOTHER_CLONE --out=FILE.json

Runs `launch.train` on the embedded sample for two steps in a new process: cold, with an empty compilation
cache, and warm, the same again. Then `flax_googlenet.load` opens the checkpoint and predicts an image. Wall
time depends on the load of the machine, and CPU time, summed over threads, much less. The result is the best
of the rounds.
"""

import json
import os
import pathlib
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from typing import Any

import matplotlib
import psutil
from absl import flags

from benchmarks.conditions import clone_at, conditions, write_result
from flax_googlenet.errors import UserError
from launch.common import command

_CHECKOUT = flags.DEFINE_string("checkout", ".", "Clone of the project whose code is measured.")
_ROUNDS = flags.DEFINE_integer("rounds", 2, "Number of measurements.", lower_bound=1)
_SIZE = flags.DEFINE_integer("image_size", 56, "Side of the images in pixels.", lower_bound=32)
_OUT = flags.DEFINE_string("out", None, "JSON file for the result.")

# The phase that a line on stderr ends, by the words it begins with. Older checkouts lack some of them.
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
    checkout = clone_at(_CHECKOUT.value)
    rounds: dict[str, list[Figures]] = {"cold": [], "warm": [], "restore": []}
    load_before = round(os.getloadavg()[0], 1)
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
        "load_average_before": load_before,
        "conditions": conditions(checkout=checkout),
    }
    write_result(_OUT.value, result)
    return result


def _train(checkout: pathlib.Path, directory: pathlib.Path, name: str) -> Figures:
    """Run two training steps and return the seconds and CPU seconds until the end of each phase."""
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
    lines = []
    assert process.stderr is not None
    for line in process.stderr:
        lines.append(line)
        seconds = round(time.perf_counter() - started, 2)
        times = usage.cpu_times()
        figures.setdefault("first_line_seconds", seconds)
        for words, phase in _PHASES.items():
            if line.startswith(words):
                figures[f"{phase}_seconds"] = seconds
                figures[f"{phase}_cpu_seconds"] = round(times.user + times.system, 2)
    if process.wait():
        raise UserError(f"launch.train in {checkout} failed: {''.join(lines).strip()}")
    return figures


def _restore(checkout: pathlib.Path, directory: pathlib.Path) -> Figures:
    """Load the trained checkpoint, predict an image and return the seconds and CPU seconds that took."""
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
    """Return an environment with empty caches, except matplotlib's list of fonts."""
    kept = {name: value for name, value in os.environ.items() if name != "JAX_COMPILATION_CACHE_DIR"}
    return {**kept, "XDG_CACHE_HOME": str(directory / "cache"), "MPLCONFIGDIR": matplotlib.get_cachedir()}


def _best(rounds: Sequence[Figures]) -> Figures:
    """Return the smallest value of each figure."""
    return {name: min(figures[name] for figures in rounds) for name in rounds[0]}


if __name__ == "__main__":
    command.run(main)
