"""Where a run stops after a notice to any of its processes."""

import threading
import time

import pytest

from flax_googlenet.distributed import preemption
from flax_googlenet.distributed.coordination import key_of
from flax_googlenet.distributed.preemption import StopHere
from flax_googlenet.errors import UserError

PATIENCE = 60  # seconds for what takes a fraction of one on an idle machine


@pytest.fixture(autouse=True)
def often(monkeypatch):
    """Look for notices a hundred times a second, and forget those of other tests."""
    monkeypatch.setattr(preemption, "INTERVAL", 0.01)
    monkeypatch.setattr(preemption, "_ends", False)
    monkeypatch.setattr(preemption, "_is_unheeded", False)


def pass_points(limit=float("inf")):
    """Pass points until the run stops, and return their number."""
    count = 0
    end = time.monotonic() + PATIENCE
    while count < limit:
        assert time.monotonic() < end, "the run does not stop"
        try:
            preemption.point()
        except StopHere:
            return count
        count += 1
        time.sleep(0.001)
    return count


def wait_for_notice():
    end = time.monotonic() + PATIENCE
    while preemption._heed.stop is None:
        assert time.monotonic() < end, "the notice is not heeded"
        time.sleep(0.001)


def test_outside_of_a_training_a_notice_loses_nothing():
    assert preemption.notice() is None
    preemption.point()
    preemption.check()
    assert preemption.wait_for(lambda: 5) == 5


def test_a_process_that_ends_because_of_a_notice_does_not_begin_a_training():
    assert preemption.notice() is None
    begun = threading.Event()

    def train():
        with preemption.heeded():
            begun.set()

    threading.Thread(target=train, daemon=True).start()
    assert not begun.wait(0.2)
    preemption._heed.leave()
    preemption._heed = None


def test_a_process_without_others_stops_before_its_next_point():
    with preemption.heeded():
        assert pass_points(3) == 3
        assert preemption.notice() >= preemption.INTERVAL
        wait_for_notice()
        assert pass_points() == 0
        with pytest.raises(StopHere):
            preemption.check()
        assert 0 <= preemption.seconds_since_notice() < PATIENCE
    assert preemption.notice() is None


@pytest.mark.parametrize(("passed_by_the_other", "points_left"), [(3, 0), (1, 0), (5, 2)])
def test_processes_stop_at_the_point_of_the_foremost(service, passed_by_the_other, points_left):
    with preemption.heeded():
        pass_points(3)
        number = preemption._heed._round
        service.values[key_of(f"point of preemption {number}", 1)] = str(passed_by_the_other)
        service.values[key_of("preemption notice", number, "notice")] = ""
        wait_for_notice()
        assert service.values[key_of(f"point of preemption {number}", 0)] == "3"
        assert pass_points() == points_left


def test_a_process_tells_the_others_of_its_notice(service):
    with preemption.heeded():
        number = preemption._heed._round
        service.values[key_of(f"point of preemption {number}", 1)] = "0"
        preemption.notice()
        wait_for_notice()
        assert key_of("preemption notice", number, "notice") in service.values


def test_a_process_that_has_completed_its_work_keeps_no_other_waiting(service):
    with preemption.heeded():
        pass_points(7)
        number = preemption._heed._round
    assert service.values[key_of(f"point of preemption {number}", 0)] == "7"


def test_a_process_that_does_not_answer_is_named(service, monkeypatch):  # noqa: ARG001 - it has no answer
    sentences, ended = [], threading.Event()

    def end(sentence):
        sentences.append(sentence)
        ended.set()

    monkeypatch.setattr(preemption, "end_process", end)
    with preemption.heeded():
        preemption.notice()
        assert ended.wait(PATIENCE)
    assert sentences[0].startswith("process 1 on node1 did not send its point of preemption")


def test_long_work_is_abandoned_at_a_notice():
    release = threading.Event()
    with preemption.heeded():
        assert preemption.wait_for(lambda: 5) == 5
        with pytest.raises(UserError, match="broken"):
            preemption.wait_for(lambda: (_ for _ in ()).throw(UserError("broken")))
        preemption.notice()
        with pytest.raises(StopHere):
            preemption.wait_for(lambda: release.wait(PATIENCE))
    release.set()


@pytest.mark.parametrize("stops", [True, False])
def test_a_notice_to_a_training_that_fails_stops_the_next_one(stops):
    """A sweep goes on after a run that fails, which may be when it saves because of the notice."""

    def fail():
        with preemption.heeded():
            preemption.notice()
            wait_for_notice()
            assert not stops or pass_points() == 0
            raise UserError("broken")

    def stop():
        with preemption.heeded():
            wait_for_notice()
            preemption.point()

    with pytest.raises(UserError, match="broken"):
        fail()
    with pytest.raises(StopHere):
        stop()
    with preemption.heeded():
        assert pass_points(3) == 3, "the notice was heeded"


def test_trainings_do_not_overlap():
    with (
        preemption.heeded(),
        pytest.raises(AssertionError, match="one training at a time"),
        preemption.heeded(),
    ):
        pass
