"""Data sets in TFDS's format, as the library reads them."""

import pathlib

from flax_googlenet.config import resolve
from flax_googlenet.data import Source, open_source
from flax_googlenet.data.sources.tfds import TfdsSource, find_builder


def open_tfds(path, split: str = "train", dataset: str = "imagenet2012", **options) -> Source:
    """Open a split of a data set in a `data_dir`."""
    data = {"source": "tfds", "dataset": dataset, "path": str(path), **options}
    return open_source(resolve({"data": data}).data, split)


def records(path, dataset: str = "imagenet2012") -> list[tuple[bytes, int, str]]:
    """Return all examples of a data set; their names come without the version and config in front."""
    builder = find_builder(dataset, str(path))
    sources = [TfdsSource(builder, split) for split in builder.info.splits]
    examples = [source[index] for source in sources for index in range(len(source))]
    return [(example.encoded, example.label, example.name.split(maxsplit=1)[1]) for example in examples]


def leftovers(path: pathlib.Path) -> list[pathlib.Path]:
    """Return the incomplete files and directories below a path."""
    return [entry for entry in path.rglob("*") if "incomplete" in entry.name]
