"""Measure training from image files, and what the input alone can deliver.

  python -m benchmarks.end_to_end --images=DIR
  python -m benchmarks.end_to_end --images=DIR --threads=1,2,4,8 --out=FILE.json

DIR holds JPEG files at any depth; without it, files are cut from two photographs. Three things are measured:

* training from files beside the same step on one random batch, and the share of the time in which a finished
  step waits for the next batch, with center crops, with random crops, and with augmentation
* the input alone, by number of threads, from the files and from copies with a shorter side of 256
* the time per image for which the input holds Python's interpreter lock, which limits what one process can
  read, however many cores it has

The result says how many cores would feed a GPU that trains on --target_rate images/s.

Each form runs in its own process. They take turns in rounds, and ratios are those within a round. Other
processes distort the result: if they used more than a tenth of the cores, the exit status is 3.
"""

import functools
import pathlib
import tempfile
from collections.abc import Mapping, Sequence
from typing import Any

from absl import flags

from benchmarks.conditions import write_result
from benchmarks.end_to_end.interpreter_lock import measure_lock
from benchmarks.end_to_end.workloads import data_config
from benchmarks.harness import command as harness
from benchmarks.harness.forms import Form
from benchmarks.harness.rounds import measure
from benchmarks.image_folders import make_folder, shrink_folder
from flax_googlenet.variants import VARIANTS
from launch.common import command

# Options of the data section, by the name of the result.
TRAINING: Mapping[str, Mapping[str, Any]] = {
    "center crops": {"train_crop": "center", "mirror": False},
    "random crops": {},
    "augmented": {"randaugment": 2, "mixup": 0.2, "erasing": 0.25},
}

_IMAGES = flags.DEFINE_string("images", None, "Directory of JPEG files to measure with.")
_VARIANT = flags.DEFINE_enum("variant", "torchvision", list(VARIANTS), "Variant of the network.")
_BATCH_SIZE = flags.DEFINE_integer("batch_size", 16, "Images in a batch of training.", lower_bound=2)
_INPUT_BATCH_SIZE = flags.DEFINE_integer(
    "input_batch_size", 256, "Images in a batch of the input alone.", lower_bound=1
)
_IMAGE_SIZE = flags.DEFINE_integer("image_size", 224, "Side of an image in pixels.", lower_bound=32)
_DTYPE = flags.DEFINE_enum("dtype", "float32", ["float32", "bfloat16"], "Dtype of the activations.")
_TRAINING = flags.DEFINE_list(
    "training", list(TRAINING), f"Kinds of training, of {', '.join(TRAINING)}; none for none."
)
_THREADS = flags.DEFINE_list("threads", ["1", "2", "4"], "Numbers of threads that decode.")
_STEPS = flags.DEFINE_integer("steps", 4, "Steps of training in a timed call.", lower_bound=1)
_LOCK_SECONDS = flags.DEFINE_float(
    "lock_seconds",
    20,
    "Seconds to sample the time under the interpreter lock; 0 leaves it out.",
    lower_bound=0,
)
_TARGET_RATE = flags.DEFINE_integer(
    "target_rate",
    18_400,
    "Images per second to compute the cores for; the default is one H100's.",
    lower_bound=1,
)
_OUT = flags.DEFINE_string("out", None, "JSON file for the result.")
flags.adopt_module_key_flags(harness)

_INPUT_BATCHES = 2  # in a timed call of the input alone


def main(arguments: Sequence[str]) -> dict[str, Any]:
    command.refuse_arguments(arguments)
    kinds = harness.chosen("training", _TRAINING.value, TRAINING)
    threads = harness.whole_numbers("threads", _THREADS.value)
    with tempfile.TemporaryDirectory() as directory:
        folder = pathlib.Path(directory)
        files = make_folder(folder, _IMAGES.value)
        folders = {"files": folder, "copies": shrink_folder(folder)}
        compared = {f"training, {kind}": training_forms(folder, TRAINING[kind]) for kind in kinds}
        for name, images in folders.items():
            compared[f"input, {name}"] = [input_form(images, count) for count in threads]
        measurements = {
            name: functools.partial(measure, forms, **harness.settings()) for name, forms in compared.items()
        }
        result = {
            "variant": _VARIANT.value,
            "batch_size": _BATCH_SIZE.value,
            "input_batch_size": _INPUT_BATCH_SIZE.value,
            "image_size": _IMAGE_SIZE.value,
            "dtype": _DTYPE.value,
            "files": len(files),
            "kilobytes": {name: round(mean_bytes(images) / 1000) for name, images in folders.items()},
            **harness.run_all(measurements, packages=("simplejpeg", "nvidia-nvimgcodec-cu12", "py-spy")),
        }
        for name, measured in result["results"].items():
            trained, read = _STEPS.value * _BATCH_SIZE.value, _INPUT_BATCHES * _INPUT_BATCH_SIZE.value
            harness.add_images_per_second(measured, trained if name.startswith("training") else read)
        if _LOCK_SECONDS.value:
            result["target_rate"] = _TARGET_RATE.value
            result["lock"] = {name: lock_figures(images) for name, images in folders.items()}
    write_result(_OUT.value, result)
    return result


def training_forms(folder: pathlib.Path, data: Mapping[str, Any]) -> list[Form]:
    """Return training from files, and the same step on one batch."""
    config = {
        "batch_size": _BATCH_SIZE.value,
        "model": {"variant": _VARIANT.value, "num_classes": 1000, "dtype": _DTYPE.value},
        "data": data_config(folder, image_size=_IMAGE_SIZE.value, resize=_IMAGE_SIZE.value, **data),
    }
    options = {"config": config, "steps": _STEPS.value}
    return [
        Form("from files", "benchmarks.end_to_end.workloads:train", options),
        Form("step alone", "benchmarks.end_to_end.workloads:train", {**options, "reads": False}),
    ]


def input_form(folder: pathlib.Path, threads: int) -> Form:
    """Return the input alone with a number of threads."""
    options = {"config": input_config(folder, threads), "batches": _INPUT_BATCHES}
    return Form(f"{threads} threads", "benchmarks.end_to_end.workloads:read", options)


def input_config(folder: pathlib.Path, threads: int) -> dict[str, Any]:
    """Return the config of the input alone."""
    size = _IMAGE_SIZE.value
    data = data_config(folder, image_size=size, resize=size, workers=threads)
    return {"batch_size": _INPUT_BATCH_SIZE.value, "data": data}


def lock_figures(folder: pathlib.Path) -> dict[str, float]:
    """Return the time of an image under the interpreter lock, and what the target rate would take."""
    figures = measure_lock(input_config(folder, threads=1), _LOCK_SECONDS.value)
    seconds = {name: 1e-6 * figures[f"{name}_microseconds"] for name in ("held", "cpu")}
    return {
        **figures,
        "cores_for_target": round(_TARGET_RATE.value * seconds["cpu"], 1),
        "lock_share_for_target": round(_TARGET_RATE.value * seconds["held"], 3),
    }


def mean_bytes(folder: pathlib.Path) -> float:
    """Return the mean size of the files of an image folder."""
    sizes = [file.stat().st_size for file in folder.glob("train/*/*")]
    return sum(sizes) / len(sizes)


if __name__ == "__main__":
    command.run(main, exit_status=harness.exit_status)
