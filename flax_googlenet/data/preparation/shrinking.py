"""Copies of a prepared data set with smaller images."""

import functools
import json
import logging
import os
from collections.abc import Iterator
from typing import Any

import cv2

from flax_googlenet.data.images import decoding, resizing
from flax_googlenet.data.preparation.record_files import (
    array_record_files,
    file_sizes,
    read_records,
    rewrite_files,
    write_description,
)
from flax_googlenet.data.sources.tfds import image_and_label
from flax_googlenet.errors import UserError

logger = logging.getLogger(__name__)

JPEG_QUALITY = 95


def write_shrunken_copy(builder: Any, directory: Any, config: str, shorter_side: int) -> None:
    """Write a copy of a data set whose images are at most `shorter_side` pixels on their shorter side.

    Larger images are scaled down by area averaging and encoded as JPEG with quality 95. All others
    keep their bytes. So do corrupt images and images with decoder warnings, which a check of the
    copy therefore still reports. Records keep their order and their other features.

    Args:
      builder: a data set on disk, as ArrayRecord.
      directory: directory of the copy, DATA_DIR/NAME/CONFIG/VERSION.
      config: name of the copy's config.
      shorter_side: the greatest shorter side of the copy's images, in pixels.

    Raises:
      UserError: if a file of the data set is missing.
    """
    import tensorflow_datasets as tfds
    from array_record.python import array_record_data_source
    from tensorflow_datasets.core import constants, dataset_info
    from tensorflow_datasets.proto import tf_example_pb2

    image, _ = image_and_label(builder)

    def read(path: Any) -> Iterator[bytes]:
        open_file = functools.partial(array_record_data_source.ArrayRecordDataSource, os.fspath(path))
        for record in read_records(path, open_file):
            example = tf_example_pb2.Example.FromString(record)
            encoded = example.features.feature[image].bytes_list
            encoded.value[0] = shrink(encoded.value[0], shorter_side)
            yield example.SerializeToString()

    incomplete = directory.parent / f"{constants.INCOMPLETE_PREFIX}shrinking_{directory.name}"
    origin = incomplete / "origin.json"
    sizes = json.dumps(file_sizes(builder))
    if incomplete.exists() and not (origin.exists() and origin.read_text() == sizes):
        incomplete.rmtree()  # the data set has been prepared again in the meantime
    incomplete.mkdir(parents=True, exist_ok=True)
    origin.write_text(sizes)
    logger.info(
        f"writing {builder.info.full_name} with shorter sides of at most {shorter_side} to {directory}"
    )
    inputs = {name: array_record_files(split) for name, split in builder.info.splits.items()}
    rewrite_files(builder, inputs, incomplete, read)

    features = dict(builder.info.features.items())
    # No encoding format or shape is declared, because the copy mixes JPEG with the original formats.
    features[image] = tfds.features.Image(doc=features[image].doc)
    tfds.features.FeaturesDict(features).save_config(os.fspath(incomplete))
    proto = dataset_info.read_proto_from_builder_dir(builder.data_path)
    proto.config_name = config
    proto.config_description = f"shorter sides of at most {shorter_side} pixels"
    proto.file_format = "array_record"
    del proto.alternative_file_formats[:]
    for split in proto.splits:
        outputs = [incomplete / path.name for path in inputs[split.name]]
        split.num_bytes = sum(path.stat().length for path in outputs)
    write_description(proto, incomplete)
    origin.unlink()
    incomplete.rename(directory)


def shrink(encoded: bytes, shorter_side: int) -> bytes:
    """Scale an image down to a shorter side of `shorter_side` pixels and encode it as JPEG.

    Small images, corrupt images and images with decoder warnings are returned unchanged.
    """
    try:
        image, warning = decoding.inspect(encoded, "")
    except UserError:
        return encoded
    if warning or min(image.shape[:2]) <= shorter_side:
        return encoded
    scaled = resizing.scale(image, shorter_side)
    return cv2.imencode(".jpg", scaled[..., ::-1], [cv2.IMWRITE_JPEG_QUALITY, JPEG_QUALITY])[1].tobytes()
