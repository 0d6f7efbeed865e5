"""Checks of data sets for corrupt images, decoder warnings, wrong labels, and copies of images."""

import collections
import dataclasses
import itertools
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np

from flax_googlenet.data.batches import read_example
from flax_googlenet.data.checking.decode_all import Decoded, Problem, decode_all
from flax_googlenet.data.examples import Source
from flax_googlenet.data.sources.classes import same_classes
from flax_googlenet.workers import Workers


@dataclasses.dataclass(frozen=True)
class Copy:
    """One of several examples with the same bytes."""

    split: str
    name: str
    class_name: str


@dataclasses.dataclass
class SplitCheck:
    """The result of the check of a split, in 32 bytes per example.

    Attributes:
      digests: digests of the encoded images, uint64 [examples, 2].
      sides: height and width in pixels, int32 [examples, 2]; 0 for images that do not decode.
      labels: indices of the classes, int64 [examples]; -1 for examples that cannot be read.
      formats: number of images per format.
      bad_images: examples that cannot be read or decoded, in order.
      damaged_images: images with decoder warnings, in order.
      labels_out_of_range: examples whose label belongs to no class, in order.
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
        """Whether each example decodes, bool [examples]."""
        return self.sides[:, 0] > 0

    def side_summary(self) -> dict[str, dict[str, float]]:
        """Return the smallest, median and largest shorter and longer side of the images, in pixels."""
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
    """The result of the check of a data set.

    Attributes:
      class_names: names of the classes, by split.
      splits: check of each split, by name.
      copies: groups of examples with the same bytes, in the order of the splits.
    """

    class_names: Mapping[str, tuple[str, ...]]
    splits: Mapping[str, SplitCheck]
    copies: list[list[Copy]]

    @property
    def bad_images(self) -> list[Problem]:
        """The corrupt images of all splits."""
        return [problem for check in self.splits.values() for problem in check.bad_images]

    @property
    def damaged_images(self) -> list[Problem]:
        """The images with decoder warnings of all splits."""
        return [problem for check in self.splits.values() for problem in check.damaged_images]

    @property
    def labels_out_of_range(self) -> list[Problem]:
        """The examples of all splits whose label belongs to no class."""
        return [problem for check in self.splits.values() for problem in check.labels_out_of_range]

    @property
    def duplicates(self) -> list[tuple[Copy, Copy]]:
        """Examples that repeat an earlier example of their split, each with the first one."""
        return [
            (copy, first)
            for group in self.copies
            for _, (first, *others) in itertools.groupby(group, key=lambda copy: copy.split)
            for copy in others
        ]

    @property
    def leaks(self) -> list[tuple[Copy, Copy]]:
        """Examples that an earlier split also contains, each with its first occurrence."""
        return [(copy, group[0]) for group in self.copies for copy in group if copy.split != group[0].split]

    def class_counts(self, split: str) -> np.ndarray:
        """Return the number of decodable images per class, int [classes]."""
        check, number_of_classes = self.splits[split], len(self.class_names[split])
        labels = check.labels[check.decoded]
        return np.bincount(labels[(labels >= 0) & (labels < number_of_classes)], minlength=number_of_classes)

    def figures(self) -> dict[str, Any]:
        """Return all counts; `label_conflicts` counts the groups of copies with different classes."""
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
            "label_conflicts": sum(len({copy.class_name for copy in group}) > 1 for group in self.copies),
        }


def check_data(
    sources: Mapping[str, Source],
    *,
    workers: int = 0,
    progress: Callable[[int], object] = lambda _: None,
) -> DataCheck:
    """Read and decode every example of every split and find examples with the same bytes.

    Args:
      sources: splits by name.
      workers: number of worker threads; 0 for one per core.
      progress: called with the number of examples that have been checked since the last call.

    Raises:
      UserError: if reading an example takes longer than the deadline.
    """
    splits = {split: _check_split(source, split, workers, progress) for split, source in sources.items()}
    return DataCheck(
        class_names={split: source.class_names for split, source in sources.items()},
        splits=splits,
        copies=_find_copies(sources, splits),
    )


def _check_split(source: Source, split: str, workers: int, progress: Callable[[int], object]) -> SplitCheck:
    count = len(source)
    check = SplitCheck(
        digests=np.zeros((count, 2), np.uint64),
        sides=np.zeros((count, 2), np.int32),
        labels=np.full(count, -1, np.int64),
    )
    descriptions = decode_all(source.__getitem__, count, workers=workers, digests=True)
    for index, description in enumerate(descriptions):
        _record(check, split, index, description, len(source.class_names))
        progress(1)
    return check


def _record(check: SplitCheck, split: str, index: int, example: Decoded, number_of_classes: int) -> None:
    """Add the description of an example to the check of its split."""
    if example.label is not None:
        check.labels[index] = example.label
        if not 0 <= example.label < number_of_classes:
            reason = f"its label is {example.label} and there are {number_of_classes} classes"
            check.labels_out_of_range.append(Problem(split, example.name, reason))
    if example.error is not None:
        check.bad_images.append(Problem.of_error(split, example.name, example.error))
        return
    if example.warning:
        check.damaged_images.append(Problem(split, example.name, example.warning))
    check.sides[index] = example.height, example.width
    check.digests[index] = np.frombuffer(example.digest, np.uint64)
    check.formats[example.format] += 1


def _find_copies(sources: Mapping[str, Source], splits: Mapping[str, SplitCheck]) -> list[list[Copy]]:
    """Return groups of examples with the same digest.

    Their names are read again, since keeping the names of all examples would take most of the memory.
    """
    decoded = {split: np.flatnonzero(check.decoded) for split, check in splits.items()}
    owners = np.repeat(list(splits), [len(indices) for indices in decoded.values()])
    indices = np.concatenate(list(decoded.values()))
    digests = np.concatenate([check.digests[decoded[split]] for split, check in splits.items()])
    order = np.lexsort(digests.T)  # stable, so copies stay in the order of the splits
    same = (digests[order[1:]] == digests[order[:-1]]).all(axis=1)
    repeats = np.r_[False, same]
    members = np.flatnonzero(repeats | np.r_[same, False])
    groups = itertools.groupby(members, key=np.cumsum(~repeats).__getitem__)
    rows_of_groups = sorted(order[list(group)].tolist() for _, group in groups)

    def describe(row: int) -> Copy:
        split, index = str(owners[row]), int(indices[row])
        example = read_example(sources[split], index)
        names = sources[split].class_names
        in_range = 0 <= example.label < len(names)
        return Copy(split, example.name, names[example.label] if in_range else str(example.label))

    with Workers() as pool:
        copies = iter(list(pool.map(describe, itertools.chain.from_iterable(rows_of_groups))))
    return [list(itertools.islice(copies, len(group))) for group in rows_of_groups]
