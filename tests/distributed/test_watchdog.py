import queue

import pytest

from flax_googlenet.distributed import watchdog
from flax_googlenet.distributed.coordination import key_of
from flax_googlenet.distributed.watchdog import FAILED, TRY_AGAIN, Watchdog

PATIENCE = 60  # seconds for what takes a fraction of one on an idle machine


@pytest.fixture
def watch(service, monkeypatch):  # noqa: ARG001 - the watchdog uses it
    """Start a watchdog that looks a hundred times a second, and return the queue of its reports."""
    monkeypatch.setattr(watchdog, "_INTERVAL", 0.01)
    monkeypatch.setattr(watchdog, "PATIENCE", 0.1)
    started = []

    def start(silence):
        reports = queue.Queue()
        started.append(Watchdog(silence, lambda *report: reports.put(report)))
        return reports

    yield start
    for each in started:
        each.stop()


def sign(service, text):
    service.values[key_of("life", 1)] = text


def test_a_process_that_fails_is_named_with_its_reason(service, watch):
    sign(service, "1")
    reports = watch(1e6)
    sign(service, '"The disk is full."')
    sentence = "process 1 on node1 failed: The disk is full. (process 0 on node0 ends, too)."
    assert reports.get(timeout=PATIENCE) == (sentence, FAILED)


@pytest.mark.parametrize("first", ["", "17"])
def test_a_process_that_gives_no_sign_of_life_is_named(service, watch, first):
    if first:
        sign(service, first)
    reports = watch(0.5)
    sentence, status = reports.get(timeout=PATIENCE)
    assert "process 1 on node1 has given no sign of life for " in sentence
    assert status == TRY_AGAIN


def test_the_first_process_is_named_if_its_service_is_gone(service, watch):
    reports = watch(1e6)
    service.fails = "UNAVAILABLE: connection refused\nmore"
    expected = (
        "process 0 on node0, which coordinates the run, cannot be reached: UNAVAILABLE: connection refused ("
    )
    sentence, status = reports.get(timeout=PATIENCE)
    assert sentence.startswith(expected)
    assert status == TRY_AGAIN


def test_the_first_process_is_named_if_its_service_hangs(service, watch, monkeypatch):
    release = queue.Queue()
    monkeypatch.setattr(service, "key_value_dir_get", lambda _: release.get(timeout=PATIENCE))
    reports = watch(0.2)
    sentence, status = reports.get(timeout=PATIENCE)
    assert "process 0 on node0, which coordinates the run, has not answered for " in sentence
    assert status == TRY_AGAIN
    release.put([])


def test_a_process_that_is_done_is_not_missed(service, watch):
    sign(service, "done")
    reports = watch(0.05)
    with pytest.raises(queue.Empty):
        reports.get(timeout=0.5)


@pytest.mark.usefixtures("watch")
def test_the_end_of_this_process_is_published(service):
    dog = Watchdog(1e6, lambda *_: None)
    dog.stop()
    assert service.values[key_of("life", 0)] == "done"
    dog.fail("too late")
    assert service.values[key_of("life", 0)] == "done"
    another = Watchdog(1e6, lambda *_: None)
    another.fail("The disk is full.")
    assert service.values[key_of("life", 0)] == '"The disk is full."'


def test_a_process_that_was_told_to_stop_ends_the_others(service, watch):
    leaving = Watchdog(1e6, lambda *_: None)
    leaving.leave()
    sign(service, service.values[key_of("life", 0)])
    sentence, status = watch(1e6).get(timeout=PATIENCE)
    assert sentence == "process 1 on node1 was told to stop (process 0 on node0 ends, too)."
    assert status == TRY_AGAIN
