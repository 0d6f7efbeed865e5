"""Strict JAX on eight fake devices, and the fixtures that several tests share."""

import os
import pathlib
import pickle
import runpy
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator
from email.message import Message
from email.parser import BytesParser
from typing import TypeVar

import jaxtyping

from tests.support import QUICK_TO_COMPILE, typechecking

# Child processes, which stand for real runs, are optimized as usual.
os.environ["XLA_FLAGS"] = QUICK_TO_COMPILE

# The tests check the shapes and dtypes in the signatures of these rooms, so the hook comes before
# the first import of the library.
CHECKED_ROOMS = ("ops", "models", "data.augmentation", "data.images")
CHECKED_ROOMS += ("training", "evaluation", "inspection", "classifier", "inference")
jaxtyping.install_import_hook(
    [f"flax_googlenet.{room}" for room in CHECKED_ROOMS], f"{typechecking.__name__}.check"
)

import filelock
import fsspec
import hypothesis
import jax
import matplotlib
import numpy as np
import pytest
from absl import app
from gcp_storage_emulator.server import create_server
from moto.server import ThreadedMotoServer

from flax_googlenet.table import PaperRow
from tests.support.commands import REPOSITORY, TINY, Process, Run, as_in_a_new_process, run_module
from tests.support.networks import shrink_table
from tests.support.processes import free_port

jax.config.update("jax_platforms", "cpu")
jax.config.update("jax_num_cpu_devices", 8)
jax.config.update("jax_numpy_dtype_promotion", "strict")
jax.config.update("jax_numpy_rank_promotion", "raise")

# The machine may be busy, and no test is about speed.
hypothesis.settings.register_profile("project", deadline=None, derandomize=True)
hypothesis.settings.load_profile("project")

# The user's cache is neither read nor written, except for matplotlib's list of fonts, which takes seconds
# to make. All test processes and their children have one cache.
if "PYTEST_XDIST_WORKER" not in os.environ:
    _CACHE = tempfile.TemporaryDirectory(prefix="cache-")
    os.environ["MPLCONFIGDIR"] = matplotlib.get_cachedir()
    os.environ["XDG_CACHE_HOME"] = _CACHE.name
jax.config.update("jax_compilation_cache_dir", f"{os.environ['XDG_CACHE_HOME']}/tests")
jax.config.update("jax_persistent_cache_min_compile_time_secs", 0.2)


# Markers of tests that need a program which a target of the Makefile installs.
NEED_A_PROGRAM = ("browser", "slurm")


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Leave out the tests that need such a program, unless `-m` asks for them."""
    left_out = [
        item
        for item in items
        for marker in NEED_A_PROGRAM
        if item.get_closest_marker(marker) and marker not in config.option.markexpr
    ]
    items[:] = [item for item in items if item not in left_out]
    config.hook.pytest_deselected(items=left_out)


@pytest.fixture(scope="session")
def small_table() -> tuple[PaperRow, ...]:
    """The rows of a small network."""
    return shrink_table()


@pytest.fixture(scope="module")
def rng() -> np.random.Generator:
    return np.random.default_rng(0)


@pytest.fixture(scope="session")
def launch() -> Run:
    """Run `python -m launch.NAME`."""
    return lambda name, *arguments, **options: run_module(f"launch.{name}", *arguments, **options)


@pytest.fixture
def command(monkeypatch: pytest.MonkeyPatch) -> Callable[..., int]:
    """A function that runs `python -m launch.NAME`, or a module with a dot in its name, in this process.

    It returns the exit status.
    """
    import launch.common.command  # noqa: F401  it defines the flag that all commands share

    monkeypatch.chdir(REPOSITORY)

    def run(name: str, *arguments: object) -> int:
        module = name if "." in name else f"launch.{name}"
        path = REPOSITORY / module.replace(".", "/")
        file = path / "__main__.py" if path.is_dir() else path.with_suffix(".py")
        argv = [str(file), *map(str, arguments)]
        monkeypatch.setattr(sys, "argv", argv)
        # absl's own `run` also sets up logging and signals of the process.
        monkeypatch.setattr(
            app, "run", lambda main, flags_parser: sys.exit(main([argv[0], *flags_parser(argv)[1:]]))
        )
        monkeypatch.delitem(sys.modules, module, raising=False)
        with as_in_a_new_process():
            try:
                runpy.run_module(module, run_name="__main__", alter_sys=True)
            except SystemExit as end:
                return int(end.code or 0)
        return 0

    return run


@pytest.fixture
def run_here(command: Callable[..., int], capsys: pytest.CaptureFixture[str]) -> Run:
    """As `launch`, but in this process, which saves the seconds of its imports."""

    def run(name: str, *arguments: object) -> Process:
        status = command(name, *arguments)
        return subprocess.CompletedProcess(arguments, status, *capsys.readouterr())

    return run


@pytest.fixture
def quick_to_compile(monkeypatch: pytest.MonkeyPatch) -> None:
    """Make child processes that no other test repeats spend less time on XLA's optimizations."""
    monkeypatch.setenv("TESTS_XLA_FLAGS", QUICK_TO_COMPILE)


@pytest.fixture(scope="session")
def s3() -> Iterator[fsspec.AbstractFileSystem]:
    """A server with one bucket that speaks S3's protocol, for this process and its children."""
    server = ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
    server.start()
    host, port = server.get_host_and_port()
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("AWS_ENDPOINT_URL", f"http://{host}:{port}")
        patch.setenv("AWS_ACCESS_KEY_ID", "somebody")
        patch.setenv("AWS_SECRET_ACCESS_KEY", "secret")
        patch.setenv("AWS_DEFAULT_REGION", "us-east-1")
        files = fsspec.filesystem("s3")
        files.mkdir("bucket")
        yield files
    server.stop()


class _PartParser(BytesParser):
    """A parser of uploads that keeps a carriage return at the end of a file.

    gcsfs ends the parts of an upload with a line feed alone, and the email parser takes a carriage return
    before it for a half of the line's end. One in 256 checkpoint files ends with that byte.
    """

    def parsebytes(self, text: bytes, headersonly: bool = False) -> Message:
        return super().parsebytes(text.replace(b"\n--==0==--", b"\r\n--==0==--"), headersonly)


@pytest.fixture(scope="session")
def gs() -> Iterator[fsspec.AbstractFileSystem]:
    """A server with one bucket that speaks Google Cloud Storage's protocol."""
    port = free_port()
    server = create_server("127.0.0.1", port, in_memory=True)
    server.start()
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("gcp_storage_emulator.server.BytesParser", _PartParser)
        patch.setenv("STORAGE_EMULATOR_HOST", f"http://127.0.0.1:{port}")
        patch.setenv("GCSFS_EXPERIMENTAL_ZB_HNS_SUPPORT", "false")  # or it asks Google for the kind of bucket
        files = fsspec.filesystem("gs")
        files.mkdir("bucket")
        yield files
    server.stop()


@pytest.fixture(params=["s3", "gs"])
def bucket(request: pytest.FixtureRequest) -> str:
    """The address of an empty directory in a bucket of each kind."""
    request.getfixturevalue(request.param)
    return f"{request.param}://bucket/{request.node.originalname}"


Made = TypeVar("Made")


def make_once(factory: pytest.TempPathFactory, name: str, make: Callable[[pathlib.Path], Made]) -> Made:
    """Return what a function makes in a new directory, made by the first test process that asks for it."""
    directory = factory.getbasetemp()
    if "PYTEST_XDIST_WORKER" in os.environ:
        directory = directory.parent  # the one that the test processes share
    made = directory / f"{name}.pickle"
    with filelock.FileLock(directory / f"{name}.lock"):
        if not made.exists():
            (directory / name).mkdir()
            made.write_bytes(pickle.dumps(make(directory / name)))
    result: Made = pickle.loads(made.read_bytes())
    return result


@pytest.fixture(scope="session")
def train_run(launch: Run, tmp_path_factory: pytest.TempPathFactory) -> Process:
    """The process of a complete training run on one device."""

    def make(directory: pathlib.Path) -> Process:
        process = launch("train", f"--workdir={directory / 'run'}", *TINY, "--profile_steps=38:39")
        assert process.returncode == 0, process.stderr
        process.workdir = directory / "run"
        return process

    return make_once(tmp_path_factory, "trained", make)


@pytest.fixture(scope="session")
def trained(train_run: Process) -> pathlib.Path:
    """The workdir of a complete run."""
    workdir: pathlib.Path = train_run.workdir
    return workdir


@pytest.fixture(scope="session")
def imagenet_tars(tmp_path_factory: pytest.TempPathFactory) -> pathlib.Path:
    """ImageNet's two tars, with 8 training images in each of four classes and 10 validation images."""
    from benchmarks.imagenet_tars.tars import FOUR_CLASSES, random_crop, write_tars
    from benchmarks.photographs import photographs

    def make(directory: pathlib.Path) -> pathlib.Path:
        draw = np.random.RandomState(0)
        small = [photograph[::4, ::4] for photograph in photographs()]
        train = {
            wnid: [random_crop(small[index % 2], draw) for _ in range(8)]
            for index, wnid in enumerate(FOUR_CLASSES)
        }
        write_tars(directory, train, [random_crop(small[i % 2], draw) for i in range(10)])
        return directory

    return make_once(tmp_path_factory, "tars", make)


@pytest.fixture(scope="session")
def imagenet(
    launch: Run, imagenet_tars: pathlib.Path, tmp_path_factory: pytest.TempPathFactory
) -> pathlib.Path:
    """A TFDS `data_dir`, made from the tars by `launch.prepare`."""

    def make(directory: pathlib.Path) -> pathlib.Path:
        arguments = (f"--manual_dir={imagenet_tars}", f"--data_dir={directory}")
        process = launch("prepare", "--dataset=imagenet2012", *arguments)
        assert process.returncode == 0, process.stderr
        return directory

    return make_once(tmp_path_factory, "tfds", make)


@pytest.fixture(scope="session")
def as_tfrecord(imagenet_tars: pathlib.Path, tmp_path_factory: pytest.TempPathFactory) -> pathlib.Path:
    """A TFDS `data_dir` with the same images as TFRecord, the default of TFDS."""
    import tensorflow_datasets as tfds

    def make(directory: pathlib.Path) -> pathlib.Path:
        builder = tfds.builder("imagenet2012", data_dir=str(directory), file_format="tfrecord")
        manual = tfds.download.DownloadConfig(manual_dir=str(imagenet_tars))
        builder.download_and_prepare(download_config=manual)
        return directory

    return make_once(tmp_path_factory, "tfrecord", make)


@pytest.fixture
def tfrecord(as_tfrecord: pathlib.Path, tmp_path: pathlib.Path) -> pathlib.Path:
    """A copy of the TFRecord data set that a test may change."""
    return pathlib.Path(shutil.copytree(as_tfrecord, tmp_path / "tfrecord"))
