"""Data sets of TFDS written again, file by file: as ArrayRecord, or with smaller images.

A file is complete once it has its name, and the data set once its description says so:
what is killed goes on with the files that are missing.
"""

import functools
import json
import logging
import os
from collections.abc import Callable, Iterable, Iterator
from typing import Any

import cv2

from flax_googlenet.data.checking.verification import array_record_files, file_sizes
from flax_googlenet.data.images import decoding, resizing
from flax_googlenet.data.sources.tfds import image_and_label
from flax_googlenet.errors import UserError
from flax_googlenet.progress import Progress
from flax_googlenet.workers import Workers, reading

logger = logging.getLogger(__name__)

JPEG_QUALITY = 95


def convert(builder: Any) -> None:
    """Give a data set ArrayRecord files beside those that it has.

    Args:
      builder: of the data set, which TFDS can read with TensorFlow: TFRecord and the like.
    """
    from tensorflow_datasets.core import dataset_info, file_adapters

    adapter = file_adapters.ADAPTER_FOR_FORMAT[builder.info.file_format]

    def read(path: Any) -> Iterator[bytes]:
        return _under_a_deadline(path, lambda: adapter.make_tf_data(os.fspath(path)).as_numpy_iterator())

    logger.info(f"converting {builder.data_path} from {builder.info.file_format.value} to array_record")
    _write_files(builder, _files(builder), builder.data_path, read)
    proto = dataset_info.read_proto_from_builder_dir(builder.data_path)
    proto.alternative_file_formats.append("array_record")
    _write_description(proto, builder.data_path)


def shrink(builder: Any, directory: Any, config: str, shorter_side: int) -> None:
    """Write a copy of a data set whose images have at most `shorter_side` pixels on their shorter side.

    Larger ones are scaled by area and become JPEG of quality 95; the others keep their
    bytes, as does what is damaged or cannot be decoded, so that it can still be told.
    Records keep their order and their other features.

    Args:
      builder: of the data set, as ArrayRecord.
      directory: of the copy, DATA_DIR/NAME/CONFIG/VERSION.
      config: its CONFIG.
      shorter_side: in pixels.
    """
    import tensorflow_datasets as tfds
    from array_record.python import array_record_data_source
    from tensorflow_datasets.core import constants, dataset_info
    from tensorflow_datasets.proto import tf_example_pb2

    image, _ = image_and_label(builder)

    def read(path: Any) -> Iterator[bytes]:
        open_file = functools.partial(array_record_data_source.ArrayRecordDataSource, os.fspath(path))
        for record in _under_a_deadline(path, open_file):
            example = tf_example_pb2.Example.FromString(record)
            encoded = example.features.feature[image].bytes_list
            encoded.value[0] = smaller(encoded.value[0], shorter_side)
            yield example.SerializeToString()

    incomplete = directory.parent / f"{constants.INCOMPLETE_PREFIX}shrinking_{directory.name}"
    origin = incomplete / "origin.json"
    described = json.dumps(file_sizes(builder))
    if incomplete.exists() and not (origin.exists() and origin.read_text() == described):
        incomplete.rmtree()  # of data that have been prepared anew since
    incomplete.mkdir(parents=True, exist_ok=True)
    origin.write_text(described)
    logger.info(
        f"writing {builder.info.full_name} with shorter sides of at most {shorter_side} to {directory}"
    )
    files = {name: array_record_files(split) for name, split in builder.info.splits.items()}
    _write_files(builder, files, incomplete, read)

    features = dict(builder.info.features.items())
    features[image] = tfds.features.Image(doc=features[image].doc)  # JPEG and what there was, of any size
    tfds.features.FeaturesDict(features).save_config(os.fspath(incomplete))
    proto = dataset_info.read_proto_from_builder_dir(builder.data_path)
    proto.config_name = config
    proto.config_description = f"shorter sides of at most {shorter_side} pixels"
    proto.file_format = "array_record"
    del proto.alternative_file_formats[:]
    for split in proto.splits:
        written = [incomplete / path.name for path in files[split.name]]
        split.num_bytes = sum(path.stat().length for path in written)
    _write_description(proto, incomplete)
    origin.unlink()
    incomplete.rename(directory)


def smaller(encoded: bytes, shorter_side: int) -> bytes:
    """Scale an image down to a shorter side of so many pixels, as JPEG.

    What is small, damaged or no image is returned as it is.
    """
    try:
        image, damage = decoding.inspect(encoded, "")
    except UserError:
        return encoded
    if damage:
        return encoded
    if min(image.shape[:2]) <= shorter_side:
        return encoded
    scaled = resizing.scale(image, shorter_side)
    return cv2.imencode(".jpg", scaled[..., ::-1], [cv2.IMWRITE_JPEG_QUALITY, JPEG_QUALITY])[1].tobytes()


def _under_a_deadline(path: Any, open_file: Callable[[], Iterable[bytes]]) -> Iterator[bytes]:
    """Yield the records of a file, each of them read under a worker's deadline."""
    with reading(str(path)):
        records = iter(open_file())
    while True:
        with reading(str(path)):
            record = next(records, None)
        if record is None:
            return
        yield record


def _files(builder: Any) -> dict[str, list[Any]]:
    return {name: split.filepaths for name, split in builder.info.splits.items()}


def _write_files(
    builder: Any, files: dict[str, list[Any]], directory: Any, read: Callable[[Any], Iterator[bytes]]
) -> None:
    """Write each file that `directory` lacks, a thread a file.

    Args:
      builder: of the data set.
      files: those to read, by split.
      directory: where to write.
      read: gives the records of a file, as they are to be written.

    Raises:
      UserError: a file to read is missing.
    """
    from tensorflow_datasets.core import file_adapters
    from tensorflow_datasets.core.utils import py_utils

    tasks = []
    for name, paths in files.items():
        split = builder.info.splits[name]
        outputs = [directory / path.name for path in array_record_files(split)]
        tasks += list(zip(paths, outputs, split.shard_lengths, strict=True))
    for path, _, _ in tasks:
        if not path.exists():
            raise UserError(f"There is no file {path}, which is part of the data set; copy it again.")
    for leftover in directory.glob("*"):
        if py_utils.is_incomplete_file(leftover):
            leftover.unlink()
    writer = file_adapters.ADAPTER_FOR_FORMAT[file_adapters.FileFormat.ARRAY_RECORD]
    what = f"writing {builder.info.full_name}"
    with Progress(what, sum(length for _, _, length in tasks)) as progress:

        def counted(records: Iterable[bytes]) -> Iterator[tuple[int, bytes]]:
            for index, record in enumerate(records):
                progress.advance()
                yield index, record

        def write(task: tuple[Any, Any, int]) -> None:
            path, output, length = task
            if output.exists():
                progress.advance(length)
                return
            with py_utils.incomplete_file(output) as temporary:
                writer.write_examples(temporary, counted(read(path)))

        with Workers() as pool:
            list(pool.map(write, tasks))


def _write_description(proto: Any, directory: Any) -> None:
    from tensorflow_datasets.core import dataset_info
    from tensorflow_datasets.core.utils import py_utils

    with py_utils.incomplete_file(dataset_info.dataset_info_path(directory)) as temporary:
        temporary.write_text(dataset_info.get_dataset_info_json(proto))
