"""Is a data set sound? Every example read and decoded, and what is wrong with any of them, by name."""

import collections
import dataclasses
import hashlib
import itertools
import os
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np

from flax_googlenet.data.batches import read_example
from flax_googlenet.data.examples import Source
from flax_googlenet.data.images.decoding import inspect
from flax_googlenet.data.sources.classes import same_classes
from flax_googlenet.errors import UserError
from flax_googlenet.workers import Workers, reading

# Of some examples: their formats, what does not decode, what is damaged, and what belongs to no class.
_Found = tuple[collections.Counter[str], list["Problem"], list["Problem"], list["Problem"]]

_BLOCK = 32  # examples that a thread takes at a time

_SIGNATURES = {
    b"\xff\xd8\xff": "JPEG",
    b"\x89PNG\r\n\x1a\n": "PNG",
    b"GIF8": "GIF",
    b"BM": "BMP",
    b"II*\0": "TIFF",
    b"MM\0*": "TIFF",
}


@dataclasses.dataclass(frozen=True)
class Problem:
    """What is wrong with an example of a split."""

    split: str
    name: str
    reason: str


@dataclasses.dataclass(frozen=True)
class Copy:
    """One of several examples that are the same, byte for byte."""

    split: str
    name: str
    class_name: str


@dataclasses.dataclass
class SplitCheck:
    """What was found in a split; 32 bytes an example.

    Attributes:
      digests: uint64 [examples, 2], of the encoded bytes.
      sides: int32 [examples, 2], height and width in pixels; 0 of what does not decode.
      labels: int64 [examples]; -1 of what cannot be read.
      formats: how many images there are of each.
      bad_images: what cannot be read or decoded, in order.
      damaged_images: what decodes although the file is corrupt, in order.
      labels_out_of_range: what belongs to no class, in order.
    """

    digests: np.ndarray
    sides: np.ndarray
    labels: np.ndarray
    formats: collections.Counter[str] = dataclasses.field(default_factory=collections.Counter)
    bad_images: list[Problem] = dataclasses.field(default_factory=list)
    damaged_images: list[Problem] = dataclasses.field(default_factory=list)
    labels_out_of_range: list[Problem] = dataclasses.field(default_factory=list)

    def __len__(self) -> int:
        return len(self.labels)

    @property
    def decoded(self) -> np.ndarray:
        """Which examples decode, bool [examples]."""
        return self.sides[:, 0] > 0

    def side_summary(self) -> dict[str, dict[str, float]]:
        """Smallest, median and largest shorter and longer side in pixels, of the images that decode."""
        sides = self.sides[self.decoded]
        if not len(sides):
            return {}
        return {
            name: {
                "smallest": int(pixels.min()),
                "median": float(np.median(pixels)),
                "largest": int(pixels.max()),
            }
            for name, pixels in (("shorter_side", sides.min(axis=1)), ("longer_side", sides.max(axis=1)))
        }


@dataclasses.dataclass(frozen=True)
class DataCheck:
    """What was found in a data set.

    Attributes:
      class_names: of each split.
      splits: what was found in each.
      copies: groups of examples that are the same, in the order of the splits.
    """

    class_names: Mapping[str, tuple[str, ...]]
    splits: Mapping[str, SplitCheck]
    copies: list[list[Copy]]

    @property
    def bad_images(self) -> list[Problem]:
        """Of all splits."""
        return [each for check in self.splits.values() for each in check.bad_images]

    @property
    def damaged_images(self) -> list[Problem]:
        """Of all splits."""
        return [problem for check in self.splits.values() for problem in check.damaged_images]

    @property
    def labels_out_of_range(self) -> list[Problem]:
        """Of all splits."""
        return [each for check in self.splits.values() for each in check.labels_out_of_range]

    @property
    def duplicates(self) -> list[tuple[Copy, Copy]]:
        """Examples that repeat an earlier one of their split, and that one."""
        return [
            (each, first)
            for group in self.copies
            for _, (first, *others) in itertools.groupby(group, key=lambda each: each.split)
            for each in others
        ]

    @property
    def leaks(self) -> list[tuple[Copy, Copy]]:
        """Examples that an earlier split has too, and that one."""
        return [(each, group[0]) for group in self.copies for each in group if each.split != group[0].split]

    def class_counts(self, split: str) -> np.ndarray:
        """Images of each class that decode, int [classes]."""
        found, number_of_classes = self.splits[split], len(self.class_names[split])
        labels = found.labels[found.decoded]
        return np.bincount(labels[(labels >= 0) & (labels < number_of_classes)], minlength=number_of_classes)

    def figures(self) -> dict[str, Any]:
        """Counts of everything; `label_conflicts` are groups of copies in different classes."""
        return {
            "splits": {split: len(check) for split, check in self.splits.items()},
            "classes": {split: len(names) for split, names in self.class_names.items()},
            "class_names_agree": all(
                itertools.starmap(same_classes, itertools.pairwise(self.class_names.values()))
            ),
            "bad_images": len(self.bad_images),
            "damaged_images": len(self.damaged_images),
            "labels_out_of_range": len(self.labels_out_of_range),
            "duplicates": len(self.duplicates),
            "duplicates_across_splits": len(self.leaks),
            "label_conflicts": sum(len({each.class_name for each in group}) > 1 for group in self.copies),
        }


def check_data(
    sources: Mapping[str, Source],
    *,
    workers: int = 0,
    progress: Callable[[int], object] = lambda _: None,
) -> DataCheck:
    """Read and decode every example of every split, and compare their bytes.

    Args:
      sources: the splits by name.
      workers: threads that decode; 0: one a core.
      progress: told of some examples, in the order of the splits, how many they were.

    Raises:
      UserError: the read of an example does not end.
    """
    splits = {
        split: _check_split(source, split, workers or os.cpu_count() or 1, progress)
        for split, source in sources.items()
    }
    return DataCheck(
        class_names={split: source.class_names for split, source in sources.items()},
        splits=splits,
        copies=_find_copies(sources, splits),
    )


def image_format(encoded: bytes) -> str:
    """Name of the format that the first bytes tell.

    >>> image_format(b"BM6"), image_format(b"RIFF....WEBPVP8 "), image_format(b"P6 1 1 255 abc")
    ('BMP', 'WebP', 'other')
    """
    if encoded[:4] == b"RIFF" and encoded[8:12] == b"WEBP":
        return "WebP"
    return next((name for start, name in _SIGNATURES.items() if encoded.startswith(start)), "other")


def _check_split(source: Source, split: str, workers: int, progress: Callable[[int], object]) -> SplitCheck:
    count = len(source)
    found = SplitCheck(
        digests=np.zeros((count, 2), np.uint64),
        sides=np.zeros((count, 2), np.int32),
        labels=np.full(count, -1, np.int64),
    )

    def examine(indices: range) -> _Found:
        formats = collections.Counter[str]()
        bad, damaged, unlabelled = list[Problem](), list[Problem](), list[Problem]()
        for index in indices:
            name = f"example {index}"
            try:
                with reading(name):
                    example = source[index]
                name = example.name
                found.labels[index] = example.label
                if not 0 <= example.label < len(source.class_names):
                    reason = f"its label is {example.label} and there are {len(source.class_names)} classes"
                    unlabelled.append(Problem(split, name, reason))
                image, damage = inspect(example.encoded, name)
            except Exception as error:  # whatever a reader or a decoder makes of it, the others are checked
                bad.append(_problem(split, name, error))
                continue
            if damage:
                damaged.append(Problem(split, name, damage))
            found.sides[index] = image.shape[:2]
            digest = hashlib.blake2b(example.encoded, digest_size=16).digest()
            found.digests[index] = np.frombuffer(digest, np.uint64)
            formats[image_format(example.encoded)] += 1
        return formats, bad, damaged, unlabelled

    blocks = [range(start, min(start + _BLOCK, count)) for start in range(0, count, _BLOCK)]
    with Workers(workers, "check") as pool:
        for block, (formats, bad, damaged, unlabelled) in zip(blocks, pool.map(examine, blocks), strict=True):
            found.formats += formats
            found.bad_images += bad
            found.damaged_images += damaged
            found.labels_out_of_range += unlabelled
            progress(len(block))
    return found


def _problem(split: str, name: str, error: Exception) -> Problem:
    if isinstance(error, UserError):
        return Problem(split, name, str(error))
    if isinstance(error, OSError) and error.strerror:
        return Problem(split, str(error.filename or name), f"it cannot be read: {error.strerror}")
    return Problem(split, name, f"{type(error).__name__}: {error}")


def _find_copies(sources: Mapping[str, Source], splits: Mapping[str, SplitCheck]) -> list[list[Copy]]:
    decoded = {split: np.flatnonzero(check.decoded) for split, check in splits.items()}
    owners = np.repeat(list(splits), [len(each) for each in decoded.values()])
    indices = np.concatenate(list(decoded.values()))
    digests = np.concatenate([check.digests[decoded[split]] for split, check in splits.items()])
    order = np.lexsort(digests.T)  # stable: copies stay in the order of the splits
    same = (digests[order[1:]] == digests[order[:-1]]).all(axis=1)
    repeats = np.r_[False, same]
    members = np.flatnonzero(repeats | np.r_[same, False])
    groups = itertools.groupby(members, key=np.cumsum(~repeats).__getitem__)
    found = sorted(order[list(group)].tolist() for _, group in groups)

    def describe(place: int) -> Copy:
        split, index = str(owners[place]), int(indices[place])
        example = read_example(sources[split], index)  # names are not kept: they would be most of the memory
        names = sources[split].class_names
        in_range = 0 <= example.label < len(names)
        return Copy(split, example.name, names[example.label] if in_range else str(example.label))

    with Workers() as pool:
        copies = iter(list(pool.map(describe, itertools.chain.from_iterable(found))))
    return [list(itertools.islice(copies, len(group))) for group in found]
