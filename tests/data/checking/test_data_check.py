import threading

import pytest

from flax_googlenet import workers
from flax_googlenet.data.checking.data_check import Copy, check_data
from flax_googlenet.data.checking.decode_all import Problem
from flax_googlenet.errors import UserError
from tests.support import images
from tests.support.sources import Listed, image


def test_a_sound_data_set():
    train = Listed(*[(image(value), value % 2) for value in range(100)])
    val = Listed(*[(image(value, suffix=".jpg"), 1) for value in range(0, 200, 20)])
    check = check_data({"train": train, "val": val})
    assert check.figures() == {
        "splits": {"train": 100, "val": 10},
        "classes": {"train": 2, "val": 2},
        "class_names_agree": True,
        "bad_images": 0,
        "damaged_images": 0,
        "labels_out_of_range": 0,
        "duplicates": 0,
        "duplicates_across_splits": 0,
        "label_conflicts": 0,
    }
    assert check.splits["train"].formats == {"PNG": 100}
    assert check.splits["val"].formats == {"JPEG": 10}
    assert check.class_counts("train").tolist() == [50, 50]
    assert check.class_counts("val").tolist() == [0, 10]


@pytest.mark.parametrize("workers", [1, 5])
def test_corrupt_images_are_named_and_do_not_stop_the_check(workers):
    source = Listed(
        (image(1), 0),
        (b"", 0),
        (FileNotFoundError(2, "No such file or directory", "gone.jpg"), 0),
        (OSError("input/output"), 0),
        (KeyError("record"), 0),
        (image(2), 2),
        (image(3), -1),
        (b"not an image", 7),
        *[(image(value), 1) for value in range(10, 110)],
        (image(1)[:40], 1),
    )
    advances = []
    check = check_data({"val": source}, workers=workers, progress=advances.append)
    split = check.splits["val"]
    assert sum(advances) == len(split) == 109
    undecodable = "is not an image that can be decoded; remove it or replace it."
    assert check.bad_images == [
        Problem("val", "x1", "x1 is empty; remove it or replace it."),
        Problem("val", "gone.jpg", "it cannot be read: No such file or directory"),
        Problem("val", "example 3", "OSError: input/output"),
        Problem("val", "example 4", "KeyError: 'record'"),
        Problem("val", "x7", f"x7 {undecodable}"),
        Problem("val", "x108", f"x108 {undecodable}"),
    ]
    assert check.labels_out_of_range == [
        Problem("val", "x5", "its label is 2 and there are 2 classes"),
        Problem("val", "x6", "its label is -1 and there are 2 classes"),
        Problem("val", "x7", "its label is 7 and there are 2 classes"),
    ]
    assert check.class_counts("val").tolist() == [1, 100]
    assert split.decoded.sum() == 103
    assert check.copies == [], "corrupt images are not compared"


def test_images_with_decoder_warnings_are_counted_apart():
    sound = images.encode(images.photograph())
    source = Listed(
        (sound, 0),
        (sound[:-2] + b"more" * 20 + b"\xff\xd9", 0),
        (image(2), 0),
        (sound[: len(sound) * 3 // 4] + b"\xff\xd9", 1),
        (b"", 1),
    )
    check = check_data({"train": source})
    assert [problem.name for problem in check.bad_images] == ["x4"]
    assert [problem.name for problem in check.damaged_images] == ["x1", "x3"]
    assert all(problem.reason.startswith("Corrupt JPEG data: ") for problem in check.damaged_images)
    assert check.class_counts("train").tolist() == [3, 1], "images with warnings count, as training uses them"
    assert check.figures()["damaged_images"] == 2


def test_copies_are_found_within_and_across_splits():
    train = Listed(
        (image(1), 0), (image(2), 0), (image(1), 0), (image(3), 1), (image(1), 1), (image(4), 0), prefix="t"
    )
    val = Listed((image(9), 0), (image(3), 1), (image(1), 0), (image(1), 9), (image(8), 1), prefix="v")
    check = check_data({"train": train, "val": val})
    t0, t2, t4 = (Copy("train", *names) for names in (("t0", "cat"), ("t2", "cat"), ("t4", "dog")))
    t3, v1 = Copy("train", "t3", "dog"), Copy("val", "v1", "dog")
    v2, v3 = Copy("val", "v2", "cat"), Copy("val", "v3", "9")
    assert check.copies == [[t0, t2, t4, v2, v3], [t3, v1]]
    assert check.duplicates == [(t2, t0), (t4, t0), (v3, v2)]
    assert check.leaks == [(v2, t0), (v3, t0), (v1, t3)]
    figures = check.figures()
    counted = ("duplicates", "duplicates_across_splits", "label_conflicts", "labels_out_of_range")
    assert [figures[name] for name in counted] == [3, 3, 1, 1]


def test_sides_of_images_that_decode():
    shapes = [(10, 40), (30, 20), (50, 60), (7, 7)]
    source = Listed(*[(image(5, *shape), 0) for shape in shapes], (b"", 0))
    assert check_data({"train": source}).splits["train"].side_summary() == {
        "shorter_side": {"smallest": 7, "median": 15.0, "largest": 50},
        "longer_side": {"smallest": 7, "median": 35.0, "largest": 60},
    }


@pytest.mark.parametrize("examples", [(), ((b"", 0), (b"", 1))], ids=["no example", "no image"])
def test_a_split_without_images_that_decode(examples):
    check = check_data({"train": Listed(*examples), "val": Listed()})
    assert check.splits["train"].side_summary() == {}
    assert check.class_counts("train").tolist() == [0, 0]
    assert check.figures()["bad_images"] == len(examples)


def test_splits_with_different_classes():
    check = check_data({"train": Listed((image(1), 0)), "val": Listed((image(2), 0), class_names=("dog",))})
    assert check.figures()["class_names_agree"] is False
    assert check.figures()["classes"] == {"train": 2, "val": 1}


def test_threads_do_not_run_far_ahead():
    """While one thread is slow, the other one stays close to it."""
    ahead = threading.Event()

    class Slow(Listed):
        def __getitem__(self, index):
            if index == 0:
                assert not ahead.wait(0.5)
            if index > 1000:
                ahead.set()
            return super().__getitem__(index)

    source = Slow(*[(image(1) + bytes(index), 0) for index in range(3000)])
    assert check_data({"train": source}, workers=2).bad_images == []


def test_a_read_that_does_not_end_is_named(monkeypatch):
    monkeypatch.setattr(workers, "READ_DEADLINE", 0.2)
    gate = threading.Event()

    class Stuck(Listed):
        def __getitem__(self, index):
            if index == 70:
                gate.wait()
            return super().__getitem__(index)

    with pytest.raises(UserError, match=r"^example 70 could not be read within 0.2 s; make sure"):
        check_data({"train": Stuck(*[(image(value), 0) for value in range(100)])}, workers=2)
    gate.set()
