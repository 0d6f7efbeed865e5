"""Strict JAX on eight fake devices, and what several tests need."""

import dataclasses
import functools
import json
import os
import pathlib
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Callable

import jaxtyping

from tests.support import typechecking

# Most of a test's time goes into compiling tiny programs. Child processes, which stand for
# real runs, optimize as usual.
os.environ["XLA_FLAGS"] = "--xla_backend_optimization_level=0"

# The tests check the shapes and dtypes in the signatures of these rooms, so the hook comes before
# the first import of the library.
CHECKED_ROOMS = ("ops", "models", "data.augmentation", "data.images")
CHECKED_ROOMS += ("training", "evaluation", "classifier", "inference")
jaxtyping.install_import_hook(
    [f"flax_googlenet.{room}" for room in CHECKED_ROOMS], f"{typechecking.__name__}.check"
)

import cv2
import hypothesis
import jax
import matplotlib
import numpy as np
import pytest
from sklearn.datasets import load_sample_images

from flax_googlenet.table import TABLE_1, PaperRow, RowKind

jax.config.update("jax_platforms", "cpu")
jax.config.update("jax_num_cpu_devices", 8)
jax.config.update("jax_numpy_dtype_promotion", "strict")
jax.config.update("jax_numpy_rank_promotion", "raise")

# The machine may be busy; no test here is about time.
hypothesis.settings.register_profile("project", deadline=None, derandomize=True)
hypothesis.settings.load_profile("project")

_COMPILED = tempfile.TemporaryDirectory(prefix="compiled-")

# Nothing is remembered in the cache of whoever runs the tests, nor taken from there, but for
# matplotlib's list of fonts, which takes seconds to make.
_CACHE = tempfile.TemporaryDirectory(prefix="cache-")
os.environ["MPLCONFIGDIR"] = matplotlib.get_cachedir()
os.environ["XDG_CACHE_HOME"] = _CACHE.name

REPOSITORY = pathlib.Path(__file__).parent.parent


@pytest.fixture(scope="session")
def small_table() -> tuple[PaperRow, ...]:
    """A sixteenth of the filters, and the rows that make a network: quick to compile."""
    names = ("conv1", "pool1", "conv2", "pool2", "inception_3a", "pool3", "inception_4a", "inception_4d")
    kinds = (RowKind.AVERAGE_POOL, RowKind.DROPOUT, RowKind.LINEAR)
    rows = [row for row in TABLE_1 if row.name in names or row.kind in kinds]
    return tuple(
        dataclasses.replace(row, filters=tuple(max(n // 16, 1) for n in row.filters)) for row in rows
    )


# XLA leaves out a rounding to bfloat16 and back where it may, and it need not.
AS_WRITTEN = {"xla_allow_excess_precision": False}


@pytest.fixture(scope="session")
def rng() -> np.random.Generator:
    return np.random.default_rng(0)


@functools.cache
def photograph(size: int) -> np.ndarray:
    """One of scikit-learn's two, uint8 [size, size, 3]."""
    return cv2.resize(load_sample_images().images[0], (size, size), interpolation=cv2.INTER_AREA)


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


def read_metrics(workdir: pathlib.Path) -> list[dict[str, float]]:
    """The records of a run's metrics.jsonl, in order."""
    return [json.loads(line) for line in (workdir / "metrics.jsonl").read_text().splitlines()]


Run = Callable[..., subprocess.CompletedProcess[str]]


def run_module(module: str, *arguments: object, devices: int = 1) -> subprocess.CompletedProcess[str]:
    """Run `python -m MODULE` as a user would, on one device or some fake ones."""
    return subprocess.run(
        [sys.executable, "-m", module, *map(str, arguments)],
        cwd=REPOSITORY,
        env=process_environment(devices),
        capture_output=True,
        text=True,
        check=False,
        timeout=600,
    )


@pytest.fixture(scope="session")
def launch() -> Run:
    """Run `python -m launch.NAME`."""
    return lambda name, *arguments, **options: run_module(f"launch.{name}", *arguments, **options)


@pytest.fixture(scope="session")
def train_run(launch: Run, tmp_path_factory: pytest.TempPathFactory) -> subprocess.CompletedProcess[str]:
    """An uninterrupted run on one device."""
    workdir = tmp_path_factory.mktemp("trained") / "run"
    process = launch("train", f"--workdir={workdir}", *TINY)
    assert process.returncode == 0, process.stderr
    process.workdir = workdir
    return process


@pytest.fixture(scope="session")
def trained(train_run: subprocess.CompletedProcess[str]) -> pathlib.Path:
    """The workdir of a complete run."""
    workdir: pathlib.Path = train_run.workdir
    return workdir


def process_environment(devices: int = 1) -> dict[str, str]:
    """The environment of a child process with so many fake devices.

    What one process has compiled the next one reads: the same programs, in a third of the time.
    """
    flags = f"--xla_force_host_platform_device_count={devices}" if devices > 1 else ""
    return {
        **os.environ,
        "JAX_PLATFORMS": "cpu",
        "XLA_FLAGS": flags,
        "PYTHONWARNINGS": "ignore",
        "JAX_COMPILATION_CACHE_DIR": _COMPILED.name,
    }


@pytest.fixture(scope="session")
def imagenet_tars(tmp_path_factory: pytest.TempPathFactory) -> pathlib.Path:
    """ImageNet's two tars: 8 training images of each of four classes, the first 10 of validation."""
    from tests.support import imagenet_tars

    directory = tmp_path_factory.mktemp("tars")
    draw = np.random.RandomState(0)
    small = [photograph[::4, ::4] for photograph in imagenet_tars.photographs()]
    train = {
        wnid: [imagenet_tars.crop(small[index % 2], draw) for _ in range(8)]
        for index, wnid in enumerate(imagenet_tars.A_FEW_CLASSES)
    }
    imagenet_tars.write_tars(directory, train, [imagenet_tars.crop(small[i % 2], draw) for i in range(10)])
    return directory


@pytest.fixture(scope="session")
def imagenet(
    launch: Run, imagenet_tars: pathlib.Path, tmp_path_factory: pytest.TempPathFactory
) -> pathlib.Path:
    """TFDS's data_dir with an ImageNet that the real builder made of them, by the real command."""
    directory = tmp_path_factory.mktemp("tfds")
    process = launch(
        "prepare", "--dataset=imagenet2012", f"--manual_dir={imagenet_tars}", f"--data_dir={directory}"
    )
    assert process.returncode == 0, process.stderr
    return directory


@pytest.fixture(scope="session")
def as_tfrecord(imagenet_tars: pathlib.Path, tmp_path_factory: pytest.TempPathFactory) -> pathlib.Path:
    """The same as TFRecord, TFDS's default."""
    import tensorflow_datasets as tfds

    path = tmp_path_factory.mktemp("tfrecord")
    builder = tfds.builder("imagenet2012", data_dir=str(path), file_format="tfrecord")
    builder.download_and_prepare(download_config=tfds.download.DownloadConfig(manual_dir=str(imagenet_tars)))
    return path


@pytest.fixture
def tfrecord(as_tfrecord: pathlib.Path, tmp_path: pathlib.Path) -> pathlib.Path:
    """A copy of it, to be changed."""
    return pathlib.Path(shutil.copytree(as_tfrecord, tmp_path / "tfrecord"))
