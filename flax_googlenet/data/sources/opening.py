"""Opening of the data set of a config."""

from collections.abc import Callable

from ml_collections import FrozenConfigDict

from flax_googlenet.data.examples import Source
from flax_googlenet.data.sources.image_folder import ImageFolder
from flax_googlenet.data.sources.mnist_sample import MnistSample


def open_source(data: FrozenConfigDict, split: str) -> Source:
    """Open a split of a data set.

    Args:
      data: the data section of a resolved config.
      split: "train" or "val".

    Raises:
      UserError: if the data set or the split does not exist or cannot be read.
    """
    openers: dict[str, Callable[[], Source]] = {
        "image_folder": lambda: ImageFolder(
            data.path, split, val_share=data.val_share, split_seed=data.split_seed
        ),
        "mnist_sample": lambda: MnistSample(split),
        "tfds": lambda: _open_tfds(data, split),
    }
    return openers[data.source]()


def _open_tfds(data: FrozenConfigDict, split: str) -> Source:
    from flax_googlenet.data.sources.tfds import open_tfds  # needs the extra tfds

    key = f"{split}_split"
    return open_tfds(data.dataset, data.path, data[key], f"config.data.{key}")
