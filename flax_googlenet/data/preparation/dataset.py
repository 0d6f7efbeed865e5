"""Preparation of a data set, from its source to verified ArrayRecord files.

A data set gets its final name only once it is complete. To resume or repeat an interrupted
preparation, call `prepare_dataset` again.
"""

import contextlib
import logging
import sys
from typing import Any

from flax_googlenet.data.preparation.beam import Beam
from flax_googlenet.data.preparation.builders import import_tensorflow, run_builder
from flax_googlenet.data.preparation.conversion import convert_to_array_record
from flax_googlenet.data.preparation.locks import lock_directory
from flax_googlenet.data.preparation.shrinking import write_shrunken_copy
from flax_googlenet.data.preparation.verification import verify
from flax_googlenet.data.sources import imagenet
from flax_googlenet.data.sources.tfds import describe_path, find_builder, image_and_label, is_random_access
from flax_googlenet.errors import UserError

logger = logging.getLogger(__name__)


def prepare_dataset(
    dataset: str,
    data_dir: str = "",
    manual_dir: str = "",
    *,
    shorter_side: int = 0,
    beam: Beam | None = None,
) -> dict[str, Any]:
    """Build or convert a data set unless it is complete, and decode each of its records once.

    Args:
      dataset: NAME, NAME/CONFIG or either with :VERSION.
      data_dir: directory of all data sets; "" for TFDS's default.
      manual_dir: directory of the files that TFDS cannot download; "" for DATA_DIR/downloads/manual.
      shorter_side: shorter side of the images of a smaller copy, in pixels; 0 for no copy.
      beam: the runner of Apache Beam for builders that are pipelines.

    Returns:
      "dataset", the name to open the data set with; "version"; "data_dir"; "splits", the number of
      records per split; and the numbers of corrupt images, "bad_images", and of images with decoder
      warnings, "damaged_images".

    Raises:
      UserError: if a package or a file is missing, or TFDS cannot build the data set.
    """
    if shorter_side < 0:
        raise UserError(f"shorter_side is {shorter_side}; it must be a number of pixels, such as 256.")
    with contextlib.redirect_stdout(sys.stderr):  # TFDS prints
        builder = _ensure_array_record(dataset, data_dir, manual_dir, beam or Beam())
        image_and_label(builder)
        if shorter_side:
            builder = _ensure_copy(builder, data_dir, shorter_side)
            copy = f"{builder.name}/{builder.info.config_name}"
            dataset = f"{copy}:{builder.version}" if ":" in dataset else copy
        counts = verify(builder)
    splits = {name: split.num_examples for name, split in builder.info.splits.items()}
    if builder.info.name == "imagenet2012":
        for name, size in imagenet.SPLIT_SIZES.items():
            if splits.get(name) != size:
                logger.warning(f"{name} has {splits.get(name, 0)} images; ImageNet's {name} split has {size}")
    return {
        "dataset": dataset,
        "version": str(builder.version),
        "data_dir": describe_path(data_dir),
        "splits": splits,
        **counts,
    }


def _ensure_array_record(dataset: str, data_dir: str, manual_dir: str, beam: Beam) -> Any:
    """Return the builder of a data set as ArrayRecord, after building or converting it if necessary."""
    builder = find_builder(dataset, data_dir)
    if builder is None:
        run_builder(dataset, data_dir, manual_dir, beam)
    elif is_random_access(builder):
        logger.info(f"{builder.info.full_name} is complete in {builder.data_path}")
        return builder
    else:
        import_tensorflow()
        with lock_directory(builder.data_path.parent):
            convert_to_array_record(builder)
    return _reopen(dataset, data_dir)


def _ensure_copy(builder: Any, data_dir: str, shorter_side: int) -> Any:
    """Return the builder of a copy with smaller images, after writing the copy if necessary.

    The copy is another config of the data set.
    """
    original = builder.info.config_name
    config = f"{original}_shorter_side_{shorter_side}" if original else f"shorter_side_{shorter_side}"
    root = builder.data_path.parent.parent if original else builder.data_path.parent
    name, version = f"{builder.name}/{config}", str(builder.version)
    directory = root / config / version
    if find_builder(f"{name}:{version}", data_dir) is None:
        with lock_directory(directory.parent):
            write_shrunken_copy(builder, directory, config, shorter_side)
    else:
        logger.info(f"{name} is complete in {directory}")
    return _reopen(f"{name}:{version}", data_dir)


def _reopen(dataset: str, data_dir: str) -> Any:
    builder = find_builder(dataset, data_dir)
    if builder is None:
        raise UserError(
            f"{dataset} was prepared but is not in {describe_path(data_dir)}; add its :VERSION to the name."
        )
    return builder
