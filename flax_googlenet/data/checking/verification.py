"""Every record of a prepared data set decoded, once."""

import json
import logging
from typing import Any

from flax_googlenet.data.images import decoding
from flax_googlenet.data.sources.tfds import TfdsSource
from flax_googlenet.errors import UserError
from flax_googlenet.progress import Progress
from flax_googlenet.workers import Workers

logger = logging.getLogger(__name__)

# In the data set's directory: what was found, and the files that it is true of.
RECORD_FILE = "flax_googlenet_verified.json"
_RECORDS_A_TASK = 64
_KINDS = ("bad", "damaged")


def verify(builder: Any) -> dict[str, int]:
    """Decode every record, in threads, and name those that are no images or damaged ones on stderr.

    What is found is kept beside the data; while the files are the same it is not done again.

    Args:
      builder: of a data set on disk, as ArrayRecord.

    Returns:
      The number of "bad_images", and of "damaged_images", which can be decoded all the same.
    """
    record = builder.data_path / RECORD_FILE
    files = file_sizes(builder)
    sentences = _remembered(record, files)
    if sentences is None:
        sentences = _decode_all(builder)
        try:
            record.write_text(json.dumps({"files": files, **sentences}, indent=1))
        except OSError:
            logger.info(f"{builder.data_path} cannot be written to: the next time will verify it again")
    else:
        logger.info(
            f"every image of {builder.info.full_name} was decoded before; {record} says what was found"
        )
    for kind, of_kind in sentences.items():
        for sentence in of_kind:
            logger.info(f"{kind} image: {sentence}")
    return {f"{kind}_images": len(of_kind) for kind, of_kind in sentences.items()}


def file_sizes(builder: Any) -> dict[str, int]:
    """Bytes of each file of records, by its name."""
    return {
        path.name: path.stat().length
        for split in builder.info.splits.values()
        for path in array_record_files(split)
        if path.exists()
    }


def array_record_files(split: Any) -> list[Any]:
    """Paths of a split's files as ArrayRecord, whatever format the data set was written in."""
    template = split.filename_template.replace(filetype_suffix="array_record")
    paths: list[Any] = template.sharded_filepaths(split.num_shards)
    return paths


def _remembered(record: Any, files: dict[str, int]) -> dict[str, list[str]] | None:
    try:
        kept = json.loads(record.read_text())
        return {kind: list(kept[kind]) for kind in _KINDS} if kept["files"] == files else None
    except (OSError, ValueError, KeyError, TypeError):
        return None


def _decode_all(builder: Any) -> dict[str, list[str]]:
    """Return a sentence for each image that is bad or damaged, by kind."""
    sources = [TfdsSource(builder, split) for split in builder.info.splits]
    ranges = [
        (source, range(start, min(start + _RECORDS_A_TASK, len(source))))
        for source in sources
        for start in range(0, len(source), _RECORDS_A_TASK)
    ]
    what = f"decoding {builder.info.full_name}"
    with Progress(what, sum(map(len, sources))) as progress:

        def check(task: tuple[TfdsSource, range]) -> dict[str, list[str]]:
            source, indices = task
            sentences: dict[str, list[str]] = {kind: [] for kind in _KINDS}
            for index in indices:
                try:
                    example = source.read(index)
                    _, damage = decoding.inspect(example.encoded, example.name)
                except UserError as error:
                    sentences["bad"].append(str(error))
                    continue
                if damage:
                    sentences["damaged"].append(f"{example.name}: {damage}")
            progress.advance(len(indices))
            return sentences

        with Workers() as pool:
            results = list(pool.map(check, ranges))
    return {kind: [sentence for result in results for sentence in result[kind]] for kind in _KINDS}
