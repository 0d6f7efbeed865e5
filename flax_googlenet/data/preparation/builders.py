"""Running TFDS's builders, which download or read the source of a data set and write ArrayRecord files."""

import contextlib
import logging
import os
import sys
import tarfile
import threading
from collections.abc import Generator
from typing import Any

from etils import epath

from flax_googlenet.data.preparation.beam import Beam, pipeline_options, were_used
from flax_googlenet.data.preparation.locks import lock_directory
from flax_googlenet.data.sources import imagenet
from flax_googlenet.data.sources.tfds import image_and_label
from flax_googlenet.errors import UserError, did_you_mean, missing_package
from flax_googlenet.progress import SECONDS_BETWEEN_LINES

logger = logging.getLogger(__name__)


def run_builder(dataset: str, data_dir: str, manual_dir: str, beam: Beam) -> None:
    """Build a data set with TFDS.

    TFDS writes to a directory `incomplete.*` and renames it at the end.

    Args:
      dataset: NAME, NAME/CONFIG or either with :VERSION.
      data_dir: directory of all data sets; "" for TFDS's default.
      manual_dir: directory of the files that TFDS cannot download; "" for DATA_DIR/downloads/manual.
      beam: the runner of Apache Beam for builders that are pipelines.

    Raises:
      UserError: if a package or a file is missing, or TFDS cannot build the data set.
    """
    import tensorflow_datasets as tfds

    builder = _load_builder(dataset, data_dir)
    image_and_label(builder)
    _check_manual_files(builder, manual_dir)
    import_tensorflow()
    options = pipeline_options(beam)
    config = tfds.download.DownloadConfig(
        manual_dir=os.path.expanduser(manual_dir) or None,  # noqa: PTH111
        try_download_gcs=False,
        beam_runner=beam.runner or None,
        beam_options=options,
    )
    with lock_directory(builder.data_path.parent):
        for leftover in builder.data_path.parent.glob(f"incomplete.*_{builder.data_path.name}"):
            logger.info(f"removing {leftover}, left by a killed process")
            leftover.rmtree()
        logger.info(f"preparing {builder.info.full_name} in {builder.data_path}")
        try:
            with _reported_progress(builder):
                builder.download_and_prepare(download_config=config)
        except _builder_errors() as error:
            raise UserError(
                f"{builder.info.full_name} could not be prepared: {type(error).__name__}: {_shorten(error)}"
            ) from error
    if options is not None and not were_used(options):
        logger.warning(
            f"the builder of {dataset} does not use Apache Beam; TFDS ran it in this process instead"
        )


def import_tensorflow() -> None:
    """Import TensorFlow without its start-up messages.

    Raises:
      UserError: if TensorFlow, or a package that TFDS needs with it, is not installed.
    """
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
    os.environ.setdefault("TF_ENABLE_ONEDNN_OPTS", "0")  # the log level does not apply to oneDNN's message
    try:
        import importlib_resources  # noqa: F401  TFDS needs it without declaring it
        import tensorflow  # noqa: F401
    except ImportError as error:
        raise missing_package("Preparing a data set", str(error.name), "prepare") from error


def _load_builder(dataset: str, data_dir: str) -> Any:
    import tensorflow_datasets as tfds
    from tensorflow_datasets.core import registered

    directory = {"data_dir": os.path.expanduser(data_dir)} if data_dir else {}  # noqa: PTH111
    try:
        return tfds.builder(dataset, file_format="array_record", **directory)
    except registered.DatasetNotFoundError as error:
        name = dataset.partition("/")[0].partition(":")[0]
        nearest = did_you_mean(name, tfds.list_builders(with_community_datasets=False))
        raise UserError(f'TFDS has no data set "{name}"; {nearest}') from error
    except (ValueError, AssertionError, RuntimeError) as error:
        raise UserError(f"TFDS cannot build {dataset}: {_shorten(error)}") from error


def _check_manual_files(builder: Any, manual_dir: str) -> None:
    if builder.MANUAL_DOWNLOAD_INSTRUCTIONS is None:
        return
    directory = epath.Path(manual_dir or epath.Path(builder.data_dir_root) / "downloads/manual").expanduser()
    if builder.name == "imagenet2012":
        imagenet.check_tars(directory)
    elif not directory.is_dir() or not any(directory.iterdir()):
        raise UserError(
            f"TFDS cannot download {builder.name}, and {directory} is empty; point manual_dir at the files "
            f"it needs: {' '.join(builder.MANUAL_DOWNLOAD_INSTRUCTIONS.split())}"
        )


def _builder_errors() -> tuple[type[Exception], ...]:
    """Return the exceptions that builders raise if their source is missing, incomplete or malformed."""
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


@contextlib.contextmanager
def _reported_progress(builder: Any) -> Generator[None, None, None]:
    """Log the number of bytes written from time to time. On terminals TFDS shows progress bars instead."""
    import tensorflow_datasets as tfds

    if sys.stderr.isatty():
        yield
        return
    tfds.disable_progress_bar()
    done = threading.Event()

    def report() -> None:
        while not done.wait(SECONDS_BETWEEN_LINES):
            with contextlib.suppress(OSError):  # files appear and disappear
                size = sum(path.stat().length for path in epath.Path(builder.data_dir).glob("*"))
                logger.info(f"preparing {builder.info.full_name}: {size / 1e6:.0f} MB written")

    threading.Thread(target=report, daemon=True).start()
    try:
        yield
    finally:
        done.set()


def _shorten(error: BaseException) -> str:
    """Return an error's message on one line of at most about 400 characters."""
    line = " ".join(str(error).split())
    return line if len(line) <= 400 else f"{line[:200]} ... {line[-200:]}"
