"""How fast JPEG files become batches on the device, and what others take for it.

  python -m benchmarks.input_pipeline --images=FOLDER
  python -m benchmarks.input_pipeline --images=FOLDER --out=docs/input_pipeline.md

FOLDER holds JPEG files, at any depth; without it some are cut from two photographs. Every loader runs in a
process of its own, one after the other, as often as --rounds says; the table has medians over the rounds, and
ratios within a round.
"""

import importlib.metadata
import importlib.util
import os
import pathlib
import platform
import statistics
import sys
import tempfile
from collections.abc import Sequence
from typing import Any

from absl import flags

from benchmarks import photographs
from benchmarks.input_pipeline.decoders import DECODERS, Decoder
from benchmarks.input_pipeline.loaders import LOADERS, Loader
from benchmarks.input_pipeline.processes import Measured, measure
from flax_googlenet.errors import UserError, did_you_mean
from launch import command

_IMAGES = flags.DEFINE_string("images", None, "Folder of JPEG files to measure with.")
_ROUNDS = flags.DEFINE_integer("rounds", 3, "How often each loader runs.", lower_bound=1)
_SECONDS = flags.DEFINE_float("seconds", 10, "How long it runs.", lower_bound=0.1)
_LONG = flags.DEFINE_float("long", 60, "Seconds of our last run, in which the memory is watched.")
_BATCH_SIZE = flags.DEFINE_integer("batch_size", 64, "Images in a batch.", lower_bound=1)
_WORKERS = flags.DEFINE_integer(
    "workers", os.cpu_count() or 1, "Threads or processes that decode.", lower_bound=1
)
_LOADERS = flags.DEFINE_list("loaders", list(LOADERS), "Which ones to measure.")
_OUT = flags.DEFINE_string("out", None, "Markdown file for the table.")


def main(arguments: Sequence[str]) -> dict[str, Any]:
    command.refuse_arguments(arguments)
    for name in _LOADERS.value:
        if name not in LOADERS:
            raise UserError(f'There is no loader "{name}"; {did_you_mean(name, LOADERS)}')
    with tempfile.TemporaryDirectory() as directory:
        folder = pathlib.Path(directory)
        files = link_images(folder) if _IMAGES.value else cut_images(folder)
        size = statistics.mean(file.stat().st_size for file in files) / 1000
        described = f"{len(files)} JPEG files of {size:.0f} kB on average"
        print(described, file=sys.stderr)
        found, missing = measure_all(folder)
        watched = measure("ours", folder, _BATCH_SIZE.value, _WORKERS.value, _LONG.value)
    ours = [each.images_per_second for each in found["ours"]]
    rows = {}
    for name, rounds in found.items():
        ratios = [one / each.images_per_second for one, each in zip(ours, rounds, strict=True)]
        rows[name] = {
            "images_per_second": round(statistics.median(each.images_per_second for each in rounds), 1),
            "ours_is_faster_by": round(statistics.median(ratios), 2),
            "cpu_milliseconds": round(statistics.median(each.cpu_milliseconds for each in rounds), 3),
            "peak_megabytes": round(max(max(each.memory) for each in rounds)),
        }
    quarter = max(len(watched.memory) // 4, 1)  # in the first, pools and caches fill
    second, last = watched.memory[quarter : 2 * quarter], watched.memory[-quarter:]
    growth = statistics.mean(last) - statistics.mean(second or last)
    result = {
        "loaders": rows,
        "missing": missing,
        "long_run": {"images": watched.images, "growth_megabytes": round(growth, 1)},
    }
    text = report(result, described)
    print(text, file=sys.stderr)
    if _OUT.value:
        pathlib.Path(_OUT.value).write_text(text, encoding="utf-8")
    return result


def link_images(folder: pathlib.Path) -> list[pathlib.Path]:
    """The files of --images, dealt out to ten classes."""
    root = pathlib.Path(_IMAGES.value or "").expanduser().absolute()
    found = sorted(each for each in root.rglob("*") if each.suffix.lower() in (".jpg", ".jpeg"))
    if not found:
        raise UserError(f"There are no JPEG files in {root}; point --images at a folder of them.")
    links = []
    for index, file in enumerate(found):
        link = folder / "train" / f"class_{index % 10}" / f"{index}.jpg"
        link.parent.mkdir(parents=True, exist_ok=True)
        link.symlink_to(file)
        links.append(link)
    return links


def cut_images(folder: pathlib.Path) -> list[pathlib.Path]:
    """Files of our own making, dealt out in the same way."""
    files = []
    for index in range(128):
        file = folder / "train" / f"class_{index % 10}" / f"{index}.jpg"
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_bytes(photographs.jpeg(index))
        files.append(file)
    return files


def measure_all(folder: pathlib.Path) -> tuple[dict[str, list[Measured]], dict[str, str]]:
    """What each took, a round after the other; and why what is missing is missing."""
    found: dict[str, list[Measured]] = {}
    missing = {
        name: f"the module {LOADERS[name].module} is not installed"
        for name in _LOADERS.value
        if not is_installed(LOADERS[name].module)
    }
    for number in range(_ROUNDS.value):
        for name in ("ours", *[each for each in _LOADERS.value if each != "ours"], *DECODERS):
            if name in missing:
                continue
            try:
                measured = measure(name, folder, _BATCH_SIZE.value, _WORKERS.value, _SECONDS.value)
            except RuntimeError as error:
                missing[name] = str(error).splitlines()[-1]
                print(f"{name} does not run here: {error}", file=sys.stderr)
                continue
            found.setdefault(name, []).append(measured)
            print(
                f"round {number + 1}, {name}: {measured.images_per_second:.0f} images/s, "
                f"{measured.cpu_milliseconds:.2f} ms of CPU time an image",
                file=sys.stderr,
            )
    return found, missing


def is_installed(package: str) -> bool:
    try:
        return importlib.util.find_spec(package) is not None
    except ModuleNotFoundError:
        return False


def report(result: dict[str, Any], described: str) -> str:
    """The result as Markdown."""
    lines = ["| | images/s | ours is faster by | CPU time | peak memory |", "|---|---:|---:|---:|---:|"]
    for name, row in result["loaders"].items():
        which: Loader | Decoder = LOADERS[name] if name in LOADERS else DECODERS[name]
        ratio = f"{row['ours_is_faster_by']:.2f}" if name != "ours" else ""
        memory = f"{row['peak_megabytes']} MB" if name in LOADERS else ""
        cells = (f"{row['images_per_second']:.0f}", ratio, f"{row['cpu_milliseconds']:.2f} ms", memory)
        lines.append(f"| {which.description} | {' | '.join(cells)} |")
    for name, reason in result["missing"].items():
        lines.append(f"| {LOADERS[name].description} | not run: {reason} | | | |")
    floor = ""
    if "tf_data" in result["loaders"]:
        part, theirs = (result["loaders"][name]["images_per_second"] for name in ("part", "tf_data"))
        floor = _FLOOR.format(part=part, times=part / theirs)
    return _HEAD.format(
        floor=floor,
        conditions=conditions(),
        described=described,
        rounds=_ROUNDS.value,
        seconds=_SECONDS.value,
        batch_size=_BATCH_SIZE.value,
        table="\n".join(lines),
        long_seconds=_LONG.value,
        long_images=result["long_run"]["images"],
        growth=result["long_run"]["growth_megabytes"],
    )


_HEAD = """# From JPEG files to batches on the device

{described}, to batches of {batch_size} random-resized crops of 224x224
pixels, uint8, on the device. Written by

    python -m benchmarks.input_pipeline --images=FOLDER --out=docs/input_pipeline.md

on {conditions}

Medians of {rounds} rounds of {seconds:.0f} s, the ratios taken within a round. CPU time is that of an image,
over all threads and processes. The last rows are decoders alone, of files in memory, in as many threads,
without resizing and without batches: what no loader on them can pass.

{table}
{floor}
In a run of {long_seconds:.0f} s and {long_images} images, our memory grew by {growth} MB from the second
quarter to the last.
"""


_FLOOR = """
Decoding the parts and nothing else, {part:.0f} images/s, is {times:.2f} times the whole of tf.data: with the
same libjpeg-turbo under both, nobody's files, crops and batches can win more than that. Most of it is
reading the Huffman codes from the top of a file to the last row of the crop, which no decoder of such files
can leave out; smaller files have fewer of them.
"""


def conditions() -> str:
    """Machine and versions, in a line."""
    packages = ["jax", "simplejpeg", "nvidia-nvimgcodec-cu12", "opencv-python-headless", "tensorflow"]
    packages += ["tensorflow-cpu", "torch", "torchvision", "grain", "nvidia-dali-cuda120"]
    found = []
    for name in packages:
        try:
            found.append(f"{name} {importlib.metadata.version(name)}")
        except importlib.metadata.PackageNotFoundError:
            continue
    machine = f"{os.cpu_count()} cores, {platform.machine()}, no accelerator used"
    return f"{machine}; Python {platform.python_version()}, {', '.join(found)}."


if __name__ == "__main__":
    command.run(main)
