"""Conversion of a prepared data set from another format, such as TFRecord, to ArrayRecord."""

import logging
import os
from collections.abc import Iterator
from typing import Any

from flax_googlenet.data.preparation.record_files import read_records, rewrite_files, write_description

logger = logging.getLogger(__name__)


def convert_to_array_record(builder: Any) -> None:
    """Write ArrayRecord files next to the existing files of a data set.

    Args:
      builder: a data set on disk, in a format that TFDS reads with TensorFlow.

    Raises:
      UserError: if a file of the data set is missing.
    """
    from tensorflow_datasets.core import dataset_info, file_adapters

    adapter = file_adapters.ADAPTER_FOR_FORMAT[builder.info.file_format]

    def read(path: Any) -> Iterator[bytes]:
        return read_records(path, lambda: adapter.make_tf_data(os.fspath(path)).as_numpy_iterator())

    logger.info(f"converting {builder.data_path} from {builder.info.file_format.value} to array_record")
    inputs = {name: split.filepaths for name, split in builder.info.splits.items()}
    rewrite_files(builder, inputs, builder.data_path, read)
    proto = dataset_info.read_proto_from_builder_dir(builder.data_path)
    proto.alternative_file_formats.append("array_record")
    write_description(proto, builder.data_path)
