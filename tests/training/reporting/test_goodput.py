import dataclasses
import json
import logging
import time

import pytest
from etils import epath

from flax_googlenet.training.reporting.clock import ACTIVITIES, Clock
from flax_googlenet.training.reporting.goodput import (
    GOODPUT_FILE,
    Attempt,
    Goodput,
    read_conditions,
    read_summary,
    summarize,
)


def attempt(first: int, last: int, **seconds: float) -> Attempt:
    return Attempt("", first, last, {**dict.fromkeys(ACTIVITIES, 0.0), **seconds}, compilation_saved=1.0)


@pytest.mark.parametrize(
    ("attempts", "share", "redone_steps", "redone_seconds"),
    [
        pytest.param([], 0.0, 0, 0.0, id="nothing"),
        pytest.param([attempt(0, 0, start=4.0)], 0.0, 0, 0.0, id="killed at the start"),
        pytest.param([attempt(0, 10, steps=30.0, data=10.0)], 0.75, 0, 0.0, id="one"),
        pytest.param(
            [attempt(0, 10, steps=20.0), attempt(10, 20, steps=20.0)], 1.0, 0, 0.0, id="nothing redone"
        ),
        pytest.param(
            [attempt(0, 10, steps=20.0), attempt(6, 20, steps=20.0)], 0.8, 4, 8.0, id="killed after a save"
        ),
        pytest.param(
            [attempt(0, 10, steps=20.0), attempt(0, 10, steps=20.0)], 0.5, 10, 20.0, id="killed before any"
        ),
        pytest.param(
            [attempt(0, 10, steps=20.0), attempt(8, 18, steps=20.0), attempt(4, 20, steps=20.0)],
            28 / 60,
            16,
            32.0,
            id="resumed from an older checkpoint, since the last one was corrupt",
        ),
        pytest.param(
            [attempt(0, 5, steps=5.0), attempt(8, 10, steps=5.0)], 1.0, 0, 0.0, id="saved after the last note"
        ),
    ],
)
def test_steps_that_a_later_attempt_repeats_are_redone(attempts, share, redone_steps, redone_seconds):
    summary = summarize(attempts)
    assert summary["share"] == pytest.approx(share, abs=1e-4)
    assert summary["steps_redone"] == redone_steps
    assert summary["seconds"]["redone_steps"] == pytest.approx(redone_seconds)
    assert summary["attempts"] == summary["compilation_saved"] == len(attempts)
    assert sum(summary["seconds"].values()) == pytest.approx(summary["wall_seconds"])


class Run:
    """The accounting of a process, in seconds that the test chooses."""

    def __init__(self, root, first_step=0, interval=1000.0, **options):
        self.now = 0.0
        self.clock = Clock(now=lambda: self.now)
        self.goodput = Goodput(
            epath.Path(root), self.clock, first_step=first_step, interval=interval, **options
        )

    def work(self, steps):
        self.now += 5  # start
        self.clock.begin("steps")
        for _ in range(steps):
            self.clock.count(1, waited=0.0)
            self.now += 2
        self.clock.stop()


def eventually(condition):
    deadline = time.monotonic() + 60
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.01)


def written_until(root, condition):
    """Wait for the thread to write what fulfils a condition."""
    path = root / GOODPUT_FILE
    eventually(lambda: path.exists() and condition(json.loads(path.read_text())))
    return json.loads(path.read_text())


def test_a_killed_attempt_counts_until_it_last_wrote(tmp_path):
    killed = Run(tmp_path, interval=0.001)
    killed.goodput.start()
    killed.work(steps=10)
    killed.goodput.count_saved(3.0)
    seen = written_until(tmp_path, lambda content: content["compilation_saved"])
    assert seen["wall_seconds"] == 25
    killed.goodput._closed.set()  # as SIGKILL would, without a last word
    killed.goodput._thread.join()

    second = Run(tmp_path, first_step=8)
    second.goodput.start()
    second.work(steps=12)
    second.now += 1
    second.goodput.close()
    second.now += 100  # after the end
    summary = second.goodput.summary()
    assert (summary["attempts"], summary["steps_redone"], summary["wall_seconds"]) == (2, 2, 55)
    expected = {"steps": 40, "redone_steps": 4, "start": 10, "other": 1}
    assert {name: value for name, value in summary["seconds"].items() if value} == expected
    assert summary["share"] == pytest.approx(40 / 55, abs=1e-4)
    assert summary["compilation_saved"] == 3
    assert read_summary(epath.Path(tmp_path)) == summary
    content = json.loads((tmp_path / GOODPUT_FILE).read_text())
    assert [(one["first_step"], one["last_step"]) for one in content["history"]] == [(0, 10), (8, 20)]
    assert [path.name for path in tmp_path.iterdir()] == [GOODPUT_FILE]


def test_nothing_is_written_before_the_start_or_by_other_processes(tmp_path):
    for run in (Run(tmp_path), other := Run(tmp_path, enabled=False)):
        run.work(steps=1)
        if run is other:
            run.goodput.start()
        run.goodput.close()
        assert run.goodput.summary()["wall_seconds"] == 7
    assert not list(tmp_path.iterdir())
    assert read_summary(epath.Path(tmp_path)) == {}


def test_the_conditions_of_the_last_attempt_are_read(tmp_path):
    assert read_conditions(epath.Path(tmp_path)) == {}
    old = dataclasses.asdict(attempt(0, 5))
    del old["conditions"]  # as an earlier version wrote it
    (tmp_path / GOODPUT_FILE).write_text(json.dumps({"history": [old]}))
    assert read_conditions(epath.Path(tmp_path)) == {}
    for step, device in enumerate(("1 x cpu", "8 x tpu")):
        run = Run(tmp_path, first_step=step, conditions={"device": device})
        run.goodput.start()
        run.goodput.close()
        assert read_conditions(epath.Path(tmp_path)) == {"device": device}
    assert read_summary(epath.Path(tmp_path))["attempts"] == 3


@pytest.mark.parametrize(
    "content",
    ["", "[]", '{"history": [{"began": ""}]}', '{"history": [{"first_st', '{"history": [1]}', b"\xff\xfe"],
)
def test_a_corrupt_file_does_not_stop_a_run(tmp_path, content, caplog):
    (tmp_path / GOODPUT_FILE).write_bytes(content if isinstance(content, bytes) else content.encode())
    run = Run(tmp_path)
    (message,) = caplog.messages
    assert message.startswith(f"{tmp_path / GOODPUT_FILE} cannot be read")
    run.goodput.start()
    run.work(steps=1)
    run.goodput.close()
    assert read_summary(epath.Path(tmp_path))["attempts"] == 1


def test_a_file_that_cannot_be_written_is_named_once(tmp_path, caplog):
    root = tmp_path / "run"
    root.mkdir()
    run = Run(root, interval=0.001)
    run.goodput.start()
    written_until(root, bool)
    (root / GOODPUT_FILE).unlink()
    root.rename(tmp_path / "moved")
    eventually(lambda: caplog.messages)
    run.now += 1
    with caplog.at_level(logging.ERROR):
        run.goodput.close()
    assert not root.exists()
    assert run.goodput.summary()["wall_seconds"] == 1
    assert caplog.messages == [
        f"cannot write {root / GOODPUT_FILE}: No such file or directory; its figures fall behind"
    ]
