import itertools
import threading
from collections.abc import Collection

import cv2
import jax
import numpy as np
import pytest
from ml_collections import FrozenConfigDict

from flax_googlenet import workers
from flax_googlenet.config import resolve
from flax_googlenet.data import EvaluationBatches, Example, TrainBatches, to_devices
from flax_googlenet.data.batches import _warn_once
from flax_googlenet.errors import CorruptImageError, UserError
from flax_googlenet.sharding import data_mesh, split_batch


class Numbered:
    """A source whose images hold their index, as pixel value and as label."""

    class_names = ("a",)

    def __init__(self, length: int, corrupt: int | None = None) -> None:
        self._length, self._corrupt = length, corrupt

    def __len__(self) -> int:
        return self._length

    def __getitem__(self, index: int) -> Example:
        image = np.full((4, 4, 3), index, np.uint8)
        encoded = b"junk" if index == self._corrupt else cv2.imencode(".png", image)[1].tobytes()
        return Example(encoded, index, f"image {index}")


def data(**options):
    """Return a data section with images smaller than any network takes."""
    resolved = resolve({"data": {"train_crop": "center", **options}}).data
    return FrozenConfigDict({**resolved.to_dict(), "image_size": 4, "resize": 4})


def rows(batches: TrainBatches | EvaluationBatches, step: int, start: int = 0, stop: int = 8):
    batch = batches.empty(stop - start)
    batches.fill(batch, step, start)
    return batch


def labels(batches: TrainBatches, step: int) -> list[int]:
    return rows(batches, step, 0, batches.batch_size)["label"].tolist()


def test_batches_run_through_the_epochs_without_a_gap():
    batches = TrainBatches(Numbered(10), data(), seed=3, batch_size=4)
    order = list(itertools.chain(*(labels(batches, step) for step in range(5))))
    assert sorted(order[:10]) == sorted(order[10:]) == list(range(10))
    assert order[:10] != order[10:], "each epoch has a new order"


def test_a_batch_depends_only_on_seed_and_step():
    one = TrainBatches(Numbered(10), data(), seed=3, batch_size=4)
    again = TrainBatches(Numbered(10), data(), seed=3, batch_size=4)
    assert labels(again, 7) == labels(one, 7), "without the steps before it"
    assert labels(TrainBatches(Numbered(10), data(), seed=4, batch_size=4), 7) != labels(one, 7)


@pytest.mark.parametrize("hosts", [1, 2, 4])
def test_hosts_read_parts_of_the_same_batch(hosts):
    batches = TrainBatches(Numbered(10), data(), seed=3, batch_size=8)
    whole = rows(batches, 5, 0, 8)
    share = 8 // hosts
    parts = [rows(batches, 5, host * share, (host + 1) * share) for host in range(hosts)]
    for name, value in whole.items():
        np.testing.assert_array_equal(np.concatenate([part[name] for part in parts]), value)


@pytest.mark.parametrize("devices", [1, 2, 8])
@pytest.mark.parametrize("workers", [1, 3])
def test_batches_do_not_depend_on_devices_and_workers(devices, workers):
    batches = TrainBatches(Numbered(10), data(workers=workers, prefetch=2), seed=3, batch_size=8)
    sharding = split_batch(data_mesh(jax.devices()[:devices]))
    for step, batch in zip(range(2, 6), to_devices(batches, range(2, 6), sharding), strict=True):
        assert batch["image"].sharding == sharding
        expected = rows(batches, step, 0, 8)
        for name, value in expected.items():
            np.testing.assert_array_equal(batch[name], value)


@pytest.mark.parametrize("length", range(1, 18))
def test_evaluation_sees_each_example_once_for_every_remainder(length):
    batches = EvaluationBatches(Numbered(length), data(), batch_size=8)
    seen = []
    for step in range(batches.steps):
        batch = rows(batches, step, 0, 8)
        assert batch["image"].shape == (8, 4, 4, 3)
        assert (batch["image"][..., 0].max((1, 2))[batch["mask"]] == batch["label"][batch["mask"]]).all()
        seen += batch["label"][batch["mask"]].tolist()
    assert seen == list(range(length))


def test_a_corrupt_image_is_named():
    batches = TrainBatches(Numbered(10, corrupt=6), data(), seed=0, batch_size=8)
    with pytest.raises(UserError, match="image 6 is not an image"):
        list(to_devices(batches, range(3), split_batch(data_mesh(jax.devices()[:1]))))


class Corrupt(Numbered):
    """A source with images that cannot be decoded, and one whose file cannot be read."""

    def __init__(self, length: int, corrupt: Collection[int], unreadable: int | None = None) -> None:
        super().__init__(length)
        self._empty, self._unreadable = corrupt, unreadable

    def __getitem__(self, index: int) -> Example:
        if index == self._unreadable:
            raise FileNotFoundError(2, "No such file or directory", f"image {index}")
        if index in self._empty:
            return Example(b"", index, f"image {index}")
        return super().__getitem__(index)


def test_a_missing_file_is_named():
    batches = TrainBatches(Corrupt(10, (), unreadable=4), data(), seed=0, batch_size=10)
    with pytest.raises(CorruptImageError, match="image 4 cannot be read: No such file or directory"):
        rows(batches, 0, 0, 10)


@pytest.mark.parametrize("hosts", [1, 2, 4])
def test_another_image_replaces_a_corrupt_one(hosts, caplog):
    _warn_once.cache_clear()
    source = Corrupt(40, (3, 5, 11, 30), unreadable=7)
    batches = TrainBatches(source, data(on_error="skip"), seed=1, batch_size=40)
    untouched = TrainBatches(Numbered(40), data(), seed=1, batch_size=40)
    share = 40 // hosts
    parts = [rows(batches, 2, host * share, (host + 1) * share) for host in range(hosts)]
    batch = {name: np.concatenate([part[name] for part in parts]) for name in parts[0]}
    expected = rows(untouched, 2, 0, 40)
    bad = np.isin(expected["label"], (3, 5, 7, 11, 30))
    np.testing.assert_array_equal(batch["bad"], bad)
    np.testing.assert_array_equal(batch["label"][~bad], expected["label"][~bad])
    assert (batch["image"][:, 0, 0, 0] == batch["label"]).all()
    assert not {3, 5, 7, 11, 30} & set(batch["label"].tolist())
    # A golden value: a run resumes with the same images.
    assert batch["label"][bad].tolist() == SUBSTITUTES
    rows(batches, 3, 0, 40)
    for index in (3, 5, 11, 30):
        warning = f"image {index} is empty; remove it or replace it. Another image takes its place."
        assert caplog.text.count(warning) == 1, "it is logged once, not once per epoch"


SUBSTITUTES = [4, 31, 15, 19, 39]


def test_a_source_of_only_corrupt_images_is_refused():
    batches = TrainBatches(Corrupt(10, range(10)), data(on_error="skip"), seed=0, batch_size=8)
    with pytest.raises(CorruptImageError, match="is empty"):
        rows(batches, 0)


@pytest.mark.parametrize("corrupt", [(), (0,), (5, 9), (10,)])
def test_evaluation_leaves_out_corrupt_images_and_counts_them(corrupt):
    batches = EvaluationBatches(Corrupt(11, corrupt), data(on_error="skip"), batch_size=4)
    filled = [rows(batches, step, 0, 4) for step in range(batches.steps)]
    seen = [label for batch in filled for label in batch["label"][batch["mask"]].tolist()]
    assert seen == [index for index in range(11) if index not in corrupt]
    assert sum(int(batch["bad"].sum()) for batch in filled) == len(corrupt)


def test_evaluation_names_corrupt_images():
    batches = EvaluationBatches(Corrupt(11, (6,)), data(), batch_size=4)
    with pytest.raises(CorruptImageError, match="image 6 is empty"):
        rows(batches, 1, 0, 4)


@pytest.mark.parametrize("batches", [TrainBatches, EvaluationBatches])
def test_a_read_that_does_not_end_is_named(batches, monkeypatch):
    monkeypatch.setattr(workers, "READ_DEADLINE", 0.2)
    monkeypatch.setattr(workers, "_PATIENCE", 0.05)
    gate = threading.Event()

    class Stuck(Numbered):
        def __getitem__(self, index: int) -> Example:
            if index == 6:
                gate.wait()
            return super().__getitem__(index)

    options = {"seed": 0} if batches is TrainBatches else {}
    source = batches(Stuck(10), data(on_error="skip", workers=2), batch_size=8, **options)
    with pytest.raises(UserError, match=r"^Example 6 could not be read within 0.2 s; make sure"):
        list(to_devices(source, range(3 if options else source.steps), split_batch(data_mesh())))
    gate.set()
