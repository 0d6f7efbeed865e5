"""Verification of a prepared data set, which decodes every record once and records the result."""

import json
import logging
from typing import Any

from flax_googlenet.data.checking.decode_all import Problem, decode_all
from flax_googlenet.data.preparation.record_files import file_sizes
from flax_googlenet.data.sources.tfds import TfdsSource
from flax_googlenet.errors import UserError
from flax_googlenet.progress import Progress

logger = logging.getLogger(__name__)

# A file in the data set's directory with the corrupt images, and the sizes of the verified files.
RECORD_FILE = "flax_googlenet_verified.json"

_KINDS = {"bad": "corrupt image", "damaged": "image with decoder warnings"}


def verify(builder: Any) -> dict[str, int]:
    """Decode every record of a data set and log the corrupt images and those with decoder warnings.

    The result is saved next to the data, and is used as long as the sizes of the files are the same.

    Args:
      builder: a data set on disk, as ArrayRecord.

    Returns:
      The numbers of corrupt images, "bad_images", and of images with decoder warnings, "damaged_images".
    """
    record = builder.data_path / RECORD_FILE
    files = file_sizes(builder)
    sentences = _read_record(record, files)
    if sentences is None:
        sentences = _decode_all(builder)
        try:
            record.write_text(json.dumps({"files": files, **sentences}, indent=1))
        except OSError:
            logger.info(f"{builder.data_path} is not writable, so the next run will decode every image again")
    else:
        logger.info(f"every image of {builder.info.full_name} was decoded before; {record} has the result")
    for kind, words in _KINDS.items():
        for sentence in sentences[kind]:
            logger.info(f"{words}: {sentence}")
    return {f"{kind}_images": len(sentences[kind]) for kind in _KINDS}


def _read_record(record: Any, files: dict[str, int]) -> dict[str, list[str]] | None:
    """Return the saved sentences by kind, or None if there are none for files of these sizes."""
    try:
        saved = json.loads(record.read_text())
        return {kind: list(saved[kind]) for kind in _KINDS} if saved["files"] == files else None
    except (OSError, ValueError, KeyError, TypeError):
        return None


def _decode_all(builder: Any) -> dict[str, list[str]]:
    """Return a sentence for each corrupt image and each image with decoder warnings, by kind."""
    sources = [TfdsSource(builder, split) for split in builder.info.splits]
    sentences: dict[str, list[str]] = {kind: [] for kind in _KINDS}
    with Progress(f"decoding {builder.info.full_name}", sum(map(len, sources))) as progress:
        for split, source in zip(builder.info.splits, sources, strict=True):
            # `read` accepts records without a label, such as those of ImageNet's test split.
            for example in decode_all(source.read, len(source)):
                progress.advance()
                if isinstance(example.error, UserError):
                    sentences["bad"].append(str(Problem.of_error(split, example.name, example.error)))
                elif example.error is not None:
                    raise example.error  # not an error of the image, so it must not be saved
                elif example.warning:
                    sentences["damaged"].append(str(Problem(split, example.name, example.warning)))
    return sentences
