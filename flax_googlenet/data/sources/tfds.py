"""Data sets that TensorFlow Datasets prepared as ArrayRecord, read without TensorFlow."""

import contextlib
import hashlib
import os
from typing import Any

from flax_googlenet.data.examples import Example
from flax_googlenet.errors import CorruptImageError, UserError, install_command, missing_package
from flax_googlenet.workers import reading

# Features that hold the name of an image's file, by the names that TFDS's data sets give them.
_FILE_NAMES = ("file_name", "filename", "image/file_name", "image/filename", "id")


class TfdsSource:
    """A split of a data set on disk, as ArrayRecord.

    Attributes:
      class_names: the names in the label feature; for ImageNet, WordNet ids.
    """

    def __init__(self, builder: Any, split: str) -> None:
        """Open a split of a data set.

        Args:
          builder: a builder that `find_builder` returned.
          split: an existing split, in TFDS's notation.

        Raises:
          UserError: if a file is missing.
        """
        tfds = import_tfds()
        self._image, self._label = image_and_label(builder)
        self._file_name = next((name for name in _FILE_NAMES if name in builder.info.features), None)
        self._name = f"{builder.info.full_name} {split}"
        self.class_names = tuple(builder.info.features[self._label].names)
        self._records = builder.as_data_source(
            split, decoders={self._image: tfds.decode.SkipDecoding()}, file_format="array_record"
        )
        instructions = builder.info.splits[split].file_instructions
        shards = [instruction.filename for instruction in instructions]
        _check_shards(builder, shards)
        # The sizes of all splits distinguish a data set from one prepared again from other files.
        sizes = [(name, info.num_examples, int(info.num_bytes)) for name, info in builder.info.splits.items()]
        parts = [(part.skip, part.take, part.examples_in_shard) for part in instructions]
        identity = (builder.info.full_name, sorted(sizes), split, parts)
        self.digest = hashlib.sha256(repr(identity).encode()).hexdigest()
        _allow_open_files(len(shards))

    def __len__(self) -> int:
        return len(self._records)

    def __getitem__(self, index: int) -> Example:
        example = self.read(index)
        if example.label < 0:
            raise UserError(f"{example.name} has no label; use another split.")
        return example

    def read(self, index: int) -> Example:
        """Read a record. Its label is -1 if it has none.

        Raises:
          CorruptImageError: if the record is corrupt.
        """
        name = f"{self._name} record {index}"
        try:
            with reading(name):
                record = self._records[index]
            encoded, label = record[self._image], int(record[self._label])
        except (
            RuntimeError,
            KeyError,
        ) as error:  # the files contain a digest of each chunk, and reading checks it
            raise CorruptImageError(
                f"{name} cannot be read: {error}; copy or prepare the data set again."
            ) from error
        if self._file_name is not None:
            file = record[self._file_name]
            name += f" ({file.decode(errors='replace') if isinstance(file, bytes) else file})"
        return Example(encoded, label, name)


def open_tfds(dataset: str, path: str, split: str, split_key: str) -> TfdsSource:
    """Open a split of a data set from its directory, without network access.

    Args:
      dataset: NAME, NAME/CONFIG or either with :VERSION.
      path: TFDS's data_dir; "" for its default.
      split: a split in TFDS's notation, such as "train" or "train[:90%]".
      split_key: the config key of the split, for error messages.

    Raises:
      UserError: if the data set or the split does not exist, cannot be read in random order, or
        does not hold images with one class each.
    """
    if not dataset:
        raise UserError("config.data.dataset is empty; set it to a name of TFDS, such as imagenet2012.")
    builder = find_builder(dataset, path)
    if builder is None:
        raise UserError(
            f"There is no data set {dataset} in {describe_path(path)}; make it with "
            f"{_ways_to_prepare(dataset, path)}."
        )
    if not is_random_access(builder):
        raise UserError(
            f"{builder.data_path} holds {builder.info.file_format.value} files, which cannot be read in "
            f"random order; convert them with {_ways_to_prepare(dataset, path)}."
        )
    image_and_label(builder)
    _check_split(builder, split, split_key)
    return TfdsSource(builder, split)


def import_tfds() -> Any:
    """Return the package tensorflow_datasets.

    Raises:
      UserError: if it or array_record is not installed.
    """
    try:
        import array_record  # noqa: F401
        import tensorflow_datasets as tfds
    except ImportError as error:
        raise missing_package("Reading a TFDS data set", str(error.name), "tfds") from error
    return tfds


def find_builder(dataset: str, path: str) -> Any | None:
    """Return a builder that reads a data set on disk, or None if the data set does not exist.

    Args:
      dataset: NAME, NAME/CONFIG or either with :VERSION; without it, the latest version on disk.
      path: TFDS's data_dir; "" for its default.

    Raises:
      UserError: if the name is malformed, or the directory cannot be read.
    """
    import_tfds()
    from tensorflow_datasets.core import naming, read_only_builder, registered

    try:
        naming.parse_builder_name_kwargs(dataset)
    except ValueError as error:
        raise UserError(
            f'"{dataset}" is not a name of a data set; write NAME or NAME/CONFIG:VERSION.'
        ) from error
    try:
        data_dir = {"data_dir": os.path.expanduser(path)} if path else {}  # noqa: PTH111
        return read_only_builder.builder_from_files(dataset, **data_dir)
    except registered.DatasetNotFoundError:
        return None
    except ValueError as error:
        raise UserError(f"{dataset}: {' '.join(str(error).split())}") from error
    except (ImportError, OSError) as error:
        raise UserError(
            f"{describe_path(path)} cannot be read: {error}; gs:// needs {install_command('gcs')}."
        ) from error


def describe_path(path: str) -> str:
    """Return `path`, or TFDS's default data_dir if it is empty."""
    if path:
        return path
    from tensorflow_datasets.core import constants

    return str(constants.DATA_DIR)


def _ways_to_prepare(dataset: str, path: str) -> str:
    arguments = repr(dataset) + (f", data_dir={path!r}" if path else "")
    return f"the command launch.prepare (see docs/imagenet.md) or prepare_dataset({arguments})"


def is_random_access(builder: Any) -> bool:
    """Return whether ArrayRecord is among the file formats of a data set."""
    return "array_record" in {file_format.value for file_format in builder.info.available_file_formats()}


def image_and_label(builder: Any) -> tuple[str, str]:
    """Return the names of the image and label features of a data set.

    They are the pair `supervised_keys`, or else the only features of their types.

    Raises:
      UserError: if the data set does not hold images with one class each.
    """
    tfds = import_tfds()
    kinds = (tfds.features.Image, tfds.features.ClassLabel)
    features = dict(builder.info.features.items()) if hasattr(builder.info.features, "items") else {}
    pair = builder.info.supervised_keys
    if isinstance(pair, tuple) and len(pair) == 2:
        supervised = [features.get(name) if isinstance(name, str) else None for name in pair]
        if all(isinstance(feature, kind) for feature, kind in zip(supervised, kinds, strict=True)):
            return pair
    images, labels = (
        [name for name, feature in features.items() if isinstance(feature, kind)] for kind in kinds
    )
    if len(images) != 1 or len(labels) != 1:
        listed = ", ".join(f'"{name}" ({type(feature).__name__})' for name, feature in features.items())
        raise UserError(
            f"{builder.info.full_name} is not a data set of images with one class each: its features are "
            f"{listed}; set another config.data.dataset."
        )
    return images[0], labels[0]


def _check_split(builder: Any, split: str, split_key: str) -> None:
    names = ", ".join(f'"{name}"' for name in builder.info.splits)
    advice = f'it has {names}: set {split_key} to one of them, or to a part, such as "train[:90%]".'
    try:
        examples = builder.info.splits[split].num_examples
    except (ValueError, KeyError, AssertionError) as error:
        raise UserError(f'{builder.info.full_name} has no split "{split}"; {advice}') from error
    if examples <= 0:
        raise UserError(f'The split "{split}" of {builder.info.full_name} is empty; {advice}')


def _check_shards(builder: Any, shards: list[str]) -> None:
    names = {path.name for path in builder.data_path.iterdir()}
    for shard in shards:
        if os.path.basename(shard) not in names:  # noqa: PTH119
            raise UserError(f"There is no file {shard}, which is part of the data set; copy it again.")


def _allow_open_files(count: int) -> None:
    """Raise the process's limit by `count` open files, as far as the system permits.

    Every shard stays open, and ImageNet has 1,088.
    """
    with contextlib.suppress(ImportError, ValueError, OSError):  # Windows has no module `resource`
        import resource

        soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
        limit = soft + count
        resource.setrlimit(resource.RLIMIT_NOFILE, (limit if hard < 0 else min(limit, hard), hard))
