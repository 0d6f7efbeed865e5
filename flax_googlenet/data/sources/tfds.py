"""Data sets that TensorFlow Datasets prepared as ArrayRecord, read without TensorFlow."""

import contextlib
import hashlib
import os
import shlex
from typing import Any

from flax_googlenet.data.examples import Example
from flax_googlenet.errors import CorruptImageError, UserError
from flax_googlenet.workers import reading

# Features that tell which file an image came from, by the names that TFDS's data sets give them.
_FILE_NAMES = ("file_name", "filename", "image/file_name", "image/filename", "id")


class TfdsSource:
    """A split of a data set on disk, as ArrayRecord.

    Attributes:
      class_names: as the label feature has them: ImageNet's are WordNet ids.
    """

    def __init__(self, builder: Any, split: str) -> None:
        """Of what `find_builder` found, and a split that is there."""
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
        # Bytes and examples of the whole tell data prepared anew from other files.
        whole = [(name, each.num_examples, int(each.num_bytes)) for name, each in builder.info.splits.items()]
        parts = [(each.skip, each.take, each.examples_in_shard) for each in instructions]
        identity = (builder.info.full_name, sorted(whole), split, parts)
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
        """A record, which need not have a label: it is -1 then."""
        name = f"{self._name} record {index}"
        try:
            with reading(name):
                record = self._records[index]
            encoded, label = record[self._image], int(record[self._label])
        except (RuntimeError, KeyError) as error:  # a file has a digest of each of its chunks
            raise CorruptImageError(
                f"{name} cannot be read: {error}; copy or prepare the data set again."
            ) from error
        if self._file_name is not None:
            file = record[self._file_name]
            name += f" ({file.decode(errors='replace') if isinstance(file, bytes) else file})"
        return Example(encoded, label, name)


def open_tfds(dataset: str, path: str, split: str, split_key: str) -> TfdsSource:
    """Open a split. Only the data set's directory is read, which describes itself; no network is.

    Args:
      dataset: NAME, NAME/CONFIG or either with :VERSION.
      path: TFDS's data_dir; "" for its default.
      split: as TFDS writes them: "train", "train[:90%]".
      split_key: of the config, that says which split.

    Raises:
      UserError: the data set or the split is not there, or cannot be read in any order, or is
        not one of images with a class each.
    """
    if not dataset:
        raise UserError("config.data.dataset is empty; set it to a name of TFDS, such as imagenet2012.")
    builder = find_builder(dataset, path)
    if builder is None:
        missing = f"There is no data set {dataset} in {describe_path(path)}"
        raise UserError(f"{missing}; this makes it: {prepare_command(dataset, path)}")
    if not is_random_access(builder):
        raise UserError(
            f"{builder.data_path} holds {builder.info.file_format.value} files, which cannot be read in any "
            f"order; this converts them: {prepare_command(dataset, path)}"
        )
    image_and_label(builder)
    _check_split(builder, split, split_key)
    return TfdsSource(builder, split)


def import_tfds() -> Any:
    """The package, or a sentence that says how to get it."""
    try:
        import array_record  # noqa: F401
        import tensorflow_datasets as tfds
    except ImportError as error:
        raise UserError(
            f'Data sets of TFDS need the package {error.name}: pip install "flax-googlenet[tfds]".'
        ) from error
    return tfds


def find_builder(dataset: str, path: str) -> Any | None:
    """What reads a data set that is on disk, made from its files; None if there is none.

    Args:
      dataset: NAME, NAME/CONFIG or either with :VERSION; without it, the last that is there.
      path: TFDS's data_dir; "" for its default.

    Raises:
      UserError: the name is not one, or the directory cannot be read.
    """
    import_tfds()
    from tensorflow_datasets.core import naming, read_only_builder, registered

    try:
        naming.parse_builder_name_kwargs(dataset)
    except ValueError as error:
        raise UserError(
            f'"{dataset}" is no name of a data set; write NAME or NAME/CONFIG:VERSION.'
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
            f'{describe_path(path)} cannot be read: {error}; gs:// needs pip install "flax-googlenet[gcs]".'
        ) from error


def describe_path(path: str) -> str:
    """The directory that data sets are in, which has a default."""
    if path:
        return path
    from tensorflow_datasets.core import constants

    return str(constants.DATA_DIR)


def prepare_command(dataset: str, path: str) -> str:
    """The command that makes a data set, or converts it to what can be read."""
    command = ["python", "-m", "launch.prepare", f"--dataset={dataset}"]
    return shlex.join(command + ([f"--data_dir={path}"] if path else []))


def is_random_access(builder: Any) -> bool:
    """Whether a data set has ArrayRecord files, among others or alone."""
    return "array_record" in {each.value for each in builder.info.available_file_formats()}


def image_and_label(builder: Any) -> tuple[str, str]:
    """Names of the two features that matter: TFDS's supervised pair, or the only ones of their kinds.

    Raises:
      UserError: the data set is not one of images with a class each.
    """
    tfds = import_tfds()
    kinds = (tfds.features.Image, tfds.features.ClassLabel)
    features = dict(builder.info.features.items()) if hasattr(builder.info.features, "items") else {}
    pair = builder.info.supervised_keys
    if isinstance(pair, tuple) and len(pair) == 2:
        found = [features.get(name) if isinstance(name, str) else None for name in pair]
        if all(isinstance(feature, kind) for feature, kind in zip(found, kinds, strict=True)):
            return pair
    images, labels = ([name for name, each in features.items() if isinstance(each, kind)] for kind in kinds)
    if len(images) != 1 or len(labels) != 1:
        listed = ", ".join(f'"{name}" ({type(each).__name__})' for name, each in features.items())
        raise UserError(
            f"{builder.info.full_name} is not a data set of images with one class each: its features are "
            f"{listed}; set another config.data.dataset."
        )
    return images[0], labels[0]


def _check_split(builder: Any, split: str, split_key: str) -> None:
    there = ", ".join(f'"{name}"' for name in builder.info.splits)
    advice = f'it has {there}: set {split_key} to one of them, or to a part, such as "train[:90%]".'
    try:
        examples = builder.info.splits[split].num_examples
    except (ValueError, KeyError, AssertionError) as error:
        raise UserError(f'{builder.info.full_name} has no split "{split}"; {advice}') from error
    if examples <= 0:
        raise UserError(f'The split "{split}" of {builder.info.full_name} is empty; {advice}')


def _check_shards(builder: Any, shards: list[str]) -> None:
    there = {each.name for each in builder.data_path.iterdir()}
    for shard in shards:
        if os.path.basename(shard) not in there:  # noqa: PTH119
            raise UserError(f"There is no file {shard}, which is part of the data set; copy it again.")


def _allow_open_files(more: int) -> None:
    """Raise the process's limit by one a shard: each stays open, and ImageNet has 1,088."""
    with contextlib.suppress(ImportError, ValueError, OSError):  # as high as it goes; Windows has none
        import resource

        soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
        wanted = soft + more
        resource.setrlimit(resource.RLIMIT_NOFILE, (wanted if hard < 0 else min(wanted, hard), hard))
