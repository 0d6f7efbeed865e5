"""The record files of a prepared data set: paths, sizes, reading and rewriting.

A file gets its final name only once it is complete, and the description of a data set is written
last. Resuming an interrupted rewrite therefore writes only the missing files.
"""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import Any

from flax_googlenet.errors import UserError
from flax_googlenet.progress import Progress
from flax_googlenet.workers import Workers, reading


def array_record_files(split: Any) -> list[Any]:
    """Return the paths that a split's ArrayRecord files have, even if the data set is in another format."""
    template = split.filename_template.replace(filetype_suffix="array_record")
    paths: list[Any] = template.sharded_filepaths(split.num_shards)
    return paths


def file_sizes(builder: Any) -> dict[str, int]:
    """Return the sizes of a data set's ArrayRecord files in bytes, by file name."""
    return {
        path.name: path.stat().length
        for split in builder.info.splits.values()
        for path in array_record_files(split)
        if path.exists()
    }


def read_records(path: Any, open_file: Callable[[], Iterable[bytes]]) -> Iterator[bytes]:
    """Yield the records of a file, each read within the deadline of the worker thread.

    Args:
      path: identifies the file in error messages.
      open_file: returns an iterable over the records.
    """
    with reading(str(path)):
        records = iter(open_file())
    while True:
        with reading(str(path)):
            record = next(records, None)
        if record is None:
            return
        yield record


def rewrite_files(
    builder: Any,
    inputs: Mapping[str, Sequence[Any]],
    directory: Any,
    read: Callable[[Any], Iterator[bytes]],
) -> None:
    """Write the missing ArrayRecord files of a directory, with one worker thread per core.

    Args:
      builder: a data set on disk.
      inputs: paths of the files to read, by split.
      directory: directory to write to.
      read: yields the records to write for an input file.

    Raises:
      UserError: if an input file is missing.
    """
    from tensorflow_datasets.core import file_adapters
    from tensorflow_datasets.core.utils import py_utils

    tasks: list[tuple[Any, Any, int]] = []
    for name, paths in inputs.items():
        split = builder.info.splits[name]
        outputs = [directory / path.name for path in array_record_files(split)]
        tasks += zip(paths, outputs, split.shard_lengths, strict=True)
    for path, _, _ in tasks:
        if not path.exists():
            raise UserError(f"There is no file {path}, which is part of the data set; copy it again.")
    for leftover in directory.glob("*"):
        if py_utils.is_incomplete_file(leftover):
            leftover.unlink()
    writer = file_adapters.ADAPTER_FOR_FORMAT[file_adapters.FileFormat.ARRAY_RECORD]
    total = sum(length for _, _, length in tasks)
    with Progress(f"writing {builder.info.full_name}", total) as progress:

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


def write_description(proto: Any, directory: Any) -> None:
    """Write the description of a data set, which makes it complete."""
    from tensorflow_datasets.core import dataset_info
    from tensorflow_datasets.core.utils import py_utils

    with py_utils.incomplete_file(dataset_info.dataset_info_path(directory)) as temporary:
        temporary.write_text(dataset_info.get_dataset_info_json(proto))
