"""Measure how fast JPEG files become batches on the device, compared with other loaders.

  python -m benchmarks.input_pipeline --images=DIR
  python -m benchmarks.input_pipeline --images=DIR --out=benchmarks/results/input_pipeline.json

DIR holds JPEG files at any depth; without it, files are cut from two photographs. Each loader runs in its own
process, one after the other, in several rounds. The result has medians over the rounds, and ratios are taken
within a round.
"""

import importlib.util
import os
import pathlib
import statistics
import sys
import tempfile
from collections.abc import Sequence
from typing import Any

from absl import flags

from benchmarks.conditions import conditions, write_result
from benchmarks.image_folders import make_folder
from benchmarks.input_pipeline.decoders import DECODERS
from benchmarks.input_pipeline.loaders import LOADERS
from benchmarks.input_pipeline.processes import Measured, measure
from flax_googlenet.errors import UserError, did_you_mean
from launch.common import command

_IMAGES = flags.DEFINE_string("images", None, "Directory of JPEG files to measure with.")
_ROUNDS = flags.DEFINE_integer("rounds", 3, "Number of runs of each loader.", lower_bound=1)
_SECONDS = flags.DEFINE_float("seconds", 10, "Length of a run in seconds.", lower_bound=0.1)
_LONG = flags.DEFINE_float("long", 60, "Length in seconds of the last run, for the growth of our memory.")
_BATCH_SIZE = flags.DEFINE_integer("batch_size", 64, "Images in a batch.", lower_bound=1)
_WORKERS = flags.DEFINE_integer(
    "workers", os.cpu_count() or 1, "Number of worker threads or processes that decode.", lower_bound=1
)
_LOADERS = flags.DEFINE_list("loaders", list(LOADERS), "Names of the loaders to measure.")
_OUT = flags.DEFINE_string("out", None, "JSON file for the result.")


def main(arguments: Sequence[str]) -> dict[str, Any]:
    command.refuse_arguments(arguments)
    for name in _LOADERS.value:
        if name not in LOADERS:
            raise UserError(f'There is no loader "{name}"; {did_you_mean(name, LOADERS)}')
    with tempfile.TemporaryDirectory() as directory:
        folder = pathlib.Path(directory)
        files = make_folder(folder, _IMAGES.value)
        kilobytes = round(statistics.mean(file.stat().st_size for file in files) / 1000)
        print(f"{len(files)} JPEG files of {kilobytes} kB on average", file=sys.stderr)
        rounds, missing = measure_all(folder)
        long_run = measure("ours", folder, _BATCH_SIZE.value, _WORKERS.value, _LONG.value)
    packages = (
        *("simplejpeg", "nvidia-nvimgcodec-cu12", "opencv-python-headless", "tensorflow"),
        *("tensorflow-cpu", "torch", "torchvision", "grain", "nvidia-dali-cuda120"),
    )
    result = {
        "loaders": {name: summarize(measured, rounds["ours"]) for name, measured in rounds.items()},
        "missing": missing,
        "long_run": {
            "seconds": _LONG.value,
            "images": long_run.images,
            "growth_megabytes": round(memory_growth(long_run.memory), 1),
        },
        "files": len(files),
        "kilobytes": kilobytes,
        "batch_size": _BATCH_SIZE.value,
        "workers": _WORKERS.value,
        "rounds": _ROUNDS.value,
        "seconds": _SECONDS.value,
        "conditions": conditions(packages, device="CPU only"),
    }
    write_result(_OUT.value, result)
    return result


def summarize(rounds: Sequence[Measured], ours: Sequence[Measured]) -> dict[str, float]:
    """Return medians over the rounds of a loader, its speed relative to our loader, and its peak memory."""
    pairs = zip(ours, rounds, strict=True)
    ratios = [reference.images_per_second / measured.images_per_second for reference, measured in pairs]
    return {
        "images_per_second": round(statistics.median(measured.images_per_second for measured in rounds), 1),
        "ours_is_faster_by": round(statistics.median(ratios), 2),
        "cpu_milliseconds": round(statistics.median(measured.cpu_milliseconds for measured in rounds), 3),
        "peak_megabytes": round(max(max(measured.memory) for measured in rounds)),
    }


def memory_growth(megabytes: Sequence[float]) -> float:
    """Return the growth of a run's memory from the second quarter to the last; the first fills caches."""
    quarter = max(len(megabytes) // 4, 1)
    second, last = megabytes[quarter : 2 * quarter], megabytes[-quarter:]
    return statistics.mean(last) - statistics.mean(second or last)


def measure_all(folder: pathlib.Path) -> tuple[dict[str, list[Measured]], dict[str, str]]:
    """Return the measurements of each loader and decoder by round, and the reasons why others are missing."""
    measurements: dict[str, list[Measured]] = {}
    missing = {
        name: f"the module {LOADERS[name].module} is not installed"
        for name in _LOADERS.value
        if not is_installed(LOADERS[name].module)
    }
    for number in range(_ROUNDS.value):
        for name in ("ours", *[name for name in _LOADERS.value if name != "ours"], *DECODERS):
            if name in missing:
                continue
            try:
                measured = measure(name, folder, _BATCH_SIZE.value, _WORKERS.value, _SECONDS.value)
            except RuntimeError as error:
                missing[name] = str(error).splitlines()[-1]
                print(f"{name} does not run here: {error}", file=sys.stderr)
                continue
            measurements.setdefault(name, []).append(measured)
            print(
                f"round {number + 1}, {name}: {measured.images_per_second:.0f} images/s, "
                f"{measured.cpu_milliseconds:.2f} ms of CPU time per image",
                file=sys.stderr,
            )
    return measurements, missing


def is_installed(package: str) -> bool:
    try:
        return importlib.util.find_spec(package) is not None
    except ModuleNotFoundError:
        return False


if __name__ == "__main__":
    command.run(main)
