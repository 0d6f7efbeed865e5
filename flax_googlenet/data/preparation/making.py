"""Making data sets of TensorFlow Datasets, with its own builders, for `tfds_source` to read.

The only place that needs TensorFlow. Whatever the moment at which it is killed, what has
its final name is complete, and the same call again goes on.
"""

import contextlib
import dataclasses
import fcntl
import logging
import os
import sys
import tarfile
import threading
from collections.abc import Generator, Sequence
from typing import Any

from etils import epath

from flax_googlenet.data.sources import imagenet
from flax_googlenet.data.sources.tfds import describe_path, find_builder, image_and_label, is_random_access
from flax_googlenet.errors import UserError, did_you_mean, missing_package
from flax_googlenet.progress import SECONDS_BETWEEN_LINES

logger = logging.getLogger(__name__)


@dataclasses.dataclass(frozen=True)
class Beam:
    """Where Apache Beam runs a builder that is made for it.

    Attributes:
      runner: its name, "DirectRunner"; "" for none.
      options: of the pipeline, without their dashes: "project=P".
    """

    runner: str = ""
    options: Sequence[str] = ()


def prepare(
    dataset: str,
    data_dir: str = "",
    manual_dir: str = "",
    *,
    shorter_side: int = 0,
    beam: Beam | None = None,
) -> dict[str, Any]:
    """Make a data set, or convert one that is there, and decode every record of it.

    Args:
      dataset: NAME, NAME/CONFIG or either with :VERSION.
      data_dir: where to put it; "" for TFDS's default.
      manual_dir: where the files are that TFDS cannot download; "" for DATA_DIR/downloads/manual.
      shorter_side: of a copy with smaller images, in pixels; 0 for none.
      beam: for builders that use Apache Beam.

    Returns:
      "dataset", to be opened by that name, its "version" and "data_dir", "splits" with the
      number of records of each, "bad_images", and "damaged_images", which decode all the same.

    Raises:
      UserError: a package or a file is missing, or what was asked cannot be made.
    """
    if shorter_side < 0:
        raise UserError(f"--shorter_side is {shorter_side}; it must be a number of pixels, such as 256.")
    from flax_googlenet.data.checking import verification  # what they import needs TFDS
    from flax_googlenet.data.preparation import rewriting  # what they import needs TFDS

    with contextlib.redirect_stdout(sys.stderr):  # TFDS prints
        builder = find_builder(dataset, data_dir)
        if builder is None:
            builder = _make(dataset, data_dir, manual_dir, beam or Beam())
        elif is_random_access(builder):
            logger.info(f"{builder.info.full_name} is complete in {builder.data_path}")
        else:
            _import_tensorflow()
            with _alone(builder.data_path.parent):
                rewriting.convert(builder)
            builder = _found_again(dataset, data_dir)
        image_and_label(builder)
        if shorter_side:
            version = str(builder.version)
            name, config, directory = _copy_of(builder, shorter_side)
            if find_builder(f"{name}:{version}", data_dir) is None:
                with _alone(directory.parent):
                    rewriting.shrink(builder, directory, config, shorter_side)
            else:
                logger.info(f"{name} is complete in {directory}")
            builder = _found_again(f"{name}:{version}", data_dir)
            dataset = f"{name}:{version}" if ":" in dataset else name
        verified = verification.verify(builder)
    splits = {name: split.num_examples for name, split in builder.info.splits.items()}
    if builder.info.name == "imagenet2012":
        for name, size in imagenet.SPLIT_SIZES.items():
            if splits.get(name) != size:
                logger.warning(f"{name} has {splits.get(name, 0)} images; of ImageNet's there are {size}")
    return {
        "dataset": dataset,
        "version": str(builder.version),
        "data_dir": describe_path(data_dir),
        "splits": splits,
        **verified,
    }


def _import_tensorflow() -> None:
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")  # it has much to say of itself, ...
    os.environ.setdefault("TF_ENABLE_ONEDNN_OPTS", "0")  # ... and of this even so
    try:
        import importlib_resources  # noqa: F401  TFDS imports it and does not declare it
        import tensorflow  # noqa: F401
    except ImportError as error:
        raise missing_package("Preparing a data set", str(error.name), "prepare") from error


def _make(dataset: str, data_dir: str, manual_dir: str, beam: Beam) -> Any:
    """Run TFDS's builder. It writes to a directory `incomplete.*`, which it renames at the end."""
    import tensorflow_datasets as tfds
    from tensorflow_datasets.core import registered

    where = {"data_dir": os.path.expanduser(data_dir)} if data_dir else {}  # noqa: PTH111
    try:
        builder = tfds.builder(dataset, file_format="array_record", **where)
    except registered.DatasetNotFoundError as error:
        name = dataset.partition("/")[0].partition(":")[0]
        nearest = did_you_mean(name, tfds.list_builders(with_community_datasets=False))
        raise UserError(f'TFDS has no data set "{name}"; {nearest}') from error
    except (ValueError, AssertionError, RuntimeError) as error:
        raise UserError(f"TFDS cannot make {dataset}: {_in_a_line(error)}") from error
    image_and_label(builder)
    _check_manual_files(builder, manual_dir)
    _import_tensorflow()
    options = _beam_options(beam)
    config = tfds.download.DownloadConfig(
        manual_dir=os.path.expanduser(manual_dir) or None,  # noqa: PTH111
        try_download_gcs=False,
        beam_runner=beam.runner or None,
        beam_options=options,
    )
    with _alone(builder.data_path.parent):
        for leftover in builder.data_path.parent.glob(f"incomplete.*_{builder.data_path.name}"):
            logger.info(f"clearing {leftover}, which a killed process left")
            leftover.rmtree()
        logger.info(f"preparing {builder.info.full_name} in {builder.data_path}")
        try:
            with _signs_of_life(builder):
                builder.download_and_prepare(download_config=config)
        except _failures() as error:
            raise UserError(
                f"{builder.info.full_name} could not be made: {type(error).__name__}: {_in_a_line(error)}"
            ) from error
    if options is not None and _never_asked_for(options):
        logger.warning(f"the builder of {dataset} does not use Apache Beam: TFDS ran it in this process")
    return _found_again(dataset, data_dir)


def _failures() -> tuple[type[Exception], ...]:
    """What a builder raises when what it reads is not there, not whole, or not what it takes it for."""
    import tensorflow as tf
    from tensorflow_datasets.core.download import download_manager, extractor, util
    from tensorflow_datasets.core.shuffle import DuplicatedKeysError

    general = (
        AssertionError,
        KeyError,
        OSError,
        RuntimeError,
        ValueError,
        tarfile.TarError,
        tf.errors.OpError,
    )
    downloads = (util.DownloadError, download_manager.NonMatchingChecksumError, extractor.ExtractError)
    return (*general, *downloads, DuplicatedKeysError)


def _check_manual_files(builder: Any, manual_dir: str) -> None:
    if builder.MANUAL_DOWNLOAD_INSTRUCTIONS is None:
        return
    directory = epath.Path(manual_dir or epath.Path(builder.data_dir_root) / "downloads/manual").expanduser()
    if builder.name == "imagenet2012":
        imagenet.check_tars(directory)
    elif not directory.is_dir() or not any(directory.iterdir()):
        raise UserError(
            f"TFDS cannot download {builder.name}, and {directory} is empty; point --manual_dir at what it "
            f"needs: {' '.join(builder.MANUAL_DOWNLOAD_INSTRUCTIONS.split())}"
        )


def _beam_options(beam: Beam) -> Any | None:
    if not beam.runner:
        if beam.options:
            raise UserError("--beam_options means nothing without --beam_runner, such as DirectRunner.")
        return None
    try:
        from apache_beam.options.pipeline_options import PipelineOptions
        from apache_beam.runners.runner import create_runner
    except ImportError as error:
        raise missing_package("A Beam runner", "apache_beam", "prepare") from error
    try:
        create_runner(beam.runner)
    except (ValueError, ImportError, AttributeError) as error:
        raise UserError(f"--beam_runner={beam.runner}: {_in_a_line(error)}") from error
    return PipelineOptions([f"--{option}" for option in beam.options])


def _never_asked_for(options: Any) -> bool:
    """Whether no pipeline was made of them: TFDS switches off their type check when it makes one."""
    from apache_beam.options.pipeline_options import TypeOptions

    return bool(options.view_as(TypeOptions).pipeline_type_check)


def _copy_of(builder: Any, shorter_side: int) -> tuple[str, str, Any]:
    """Name, config and directory of a copy with smaller images: another config of the data set."""
    given = builder.info.config_name
    config = f"{given}_shorter_side_{shorter_side}" if given else f"shorter_side_{shorter_side}"
    root = builder.data_path.parent.parent if given else builder.data_path.parent
    return f"{builder.name}/{config}", config, root / config / str(builder.version)


def _found_again(dataset: str, data_dir: str) -> Any:
    builder = find_builder(dataset, data_dir)
    if builder is None:
        raise UserError(f"{dataset} was made and is not in {describe_path(data_dir)}; give its :VERSION.")
    return builder


@contextlib.contextmanager
def _alone(directory: Any) -> Generator[None, None, None]:
    """Hold a lock on a local directory, which the system releases when the process ends, however it does."""
    if "://" in str(directory):
        yield
        return
    try:
        directory.mkdir(parents=True, exist_ok=True)
        file = (directory / ".lock").open("w")
    except OSError as error:
        raise UserError(
            f"{directory} cannot be written to: {error.strerror}; choose another --data_dir."
        ) from error
    with file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            raise UserError(f"Another process is at work in {directory}; let it come to its end.") from error
        yield


@contextlib.contextmanager
def _signs_of_life(builder: Any) -> Generator[None, None, None]:
    """TFDS has bars for terminals; elsewhere, say now and then how much is written."""
    import tensorflow_datasets as tfds

    if sys.stderr.isatty():
        yield
        return
    tfds.disable_progress_bar()
    over = threading.Event()

    def speak() -> None:
        while not over.wait(SECONDS_BETWEEN_LINES):
            with contextlib.suppress(OSError):  # files come and go
                size = sum(path.stat().length for path in epath.Path(builder.data_dir).glob("*"))
                logger.info(f"preparing {builder.info.full_name}: {size / 1e6:.0f} MB written")

    threading.Thread(target=speak, daemon=True).start()
    try:
        yield
    finally:
        over.set()


def _in_a_line(error: BaseException) -> str:
    line = " ".join(str(error).split())
    return line if len(line) <= 400 else f"{line[:200]} ... {line[-200:]}"
