import os
import subprocess
import sys
import threading

import pytest

from flax_googlenet import workers
from flax_googlenet.errors import CorruptImageError, UserError
from flax_googlenet.workers import Workers, read_file, read_file_in_time, reading
from tests.support.commands import REPOSITORY, process_environment
from tests.support.files import make_socket


@pytest.fixture
def gate():
    """An event that is set at the end of the test, for reads that must not end before."""
    event = threading.Event()
    yield event
    event.set()


@pytest.fixture(autouse=True)
def impatient(monkeypatch):
    """Close pools without waiting for the reads that hang in these tests."""
    monkeypatch.setattr(workers, "_PATIENCE", 0.05)


@pytest.mark.parametrize("count", [1, 4])
def test_results_come_in_the_order_of_the_tasks(count):
    with Workers(count) as pool:
        futures = [pool.submit(pow, base, 2) for base in range(50)]
        assert [pool.result(future) for future in futures] == [base**2 for base in range(50)]
        assert list(pool.map(lambda base: base**2, range(50))) == [base**2 for base in range(50)]


def test_an_error_is_raised_by_result_and_the_next_task_runs():
    with Workers(1) as pool:
        wrong, right = pool.submit(int, "x"), pool.submit(int, "7")
        with pytest.raises(ValueError, match="invalid literal"):
            pool.result(wrong)
        assert pool.result(right) == 7


@pytest.mark.parametrize(
    ("count", "words"),
    [
        (1, "disk/0 could not be read within 0.2 s; make sure that the file system can be reached."),
        (3, "disk/0, disk/1, disk/2 could not be read within 0.2 s; make sure"),
        (5, "disk/0, disk/1, disk/2 and 2 more could not be read within 0.2 s; make sure"),
    ],
)
def test_a_read_that_does_not_end_is_named(gate, count, words):
    started = threading.Barrier(count + 1)

    def read(name):
        with reading(name):
            started.wait()
            gate.wait()

    with Workers(count, deadline=0.2) as pool:
        futures = [pool.submit(read, f"disk/{index}") for index in range(count)]
        started.wait()
        with pytest.raises(UserError) as caught:
            pool.result(futures[-1])
    assert str(caught.value).startswith(words)
    assert pool.closed, "the pool does not wait for the read"


def test_a_wait_can_be_ended(gate):
    def stop():
        raise KeyError("stop")

    with Workers(1, deadline=0.2, while_waiting=stop) as pool:
        assert pool.result(pool.submit(lambda: 1)) == 1
        with pytest.raises(KeyError, match="stop"):
            pool.result(pool.submit(gate.wait))
        gate.set()


@pytest.mark.parametrize(("ahead", "begun"), [(None, 4), (3, 3)])
def test_a_bounded_number_of_tasks_is_in_progress(ahead, begun):
    taken = []

    def tasks():
        for number in range(50):
            taken.append(number)
            yield number

    with Workers(2) as pool:
        results = pool.map(lambda number: number, tasks(), ahead)
        assert not taken, "no task begins before a result is asked for"
        for expected in range(50):
            assert next(results) == expected
            assert len(taken) == min(begun + expected, 50)
        with pytest.raises(StopIteration):
            next(results)


def test_results_that_are_there_are_told_from_those_to_wait_for():
    gates = [threading.Event() for _ in range(3)]
    with Workers(3) as pool:
        results = pool.map(lambda event: event.wait(), gates)
        gates[0].set()
        assert next(results)
        assert not results.is_ready()
        gates[1].set()
        assert next(results)
        gates[2].set()
        while not results.is_ready():
            pass
        assert not results.is_ready(2), "only one is left"
        assert next(results)
        assert not results.is_ready()


def test_only_a_read_has_a_deadline(gate):
    def decode():
        with reading("file"):
            pass
        return gate.wait(0.5)

    with Workers(1, deadline=0.01) as pool:
        assert pool.result(pool.submit(decode)) is False


def test_each_read_has_the_whole_deadline():
    """While reads are nested, only the time of the inner one counts."""
    begun, ended = threading.Semaphore(0), threading.Semaphore(0)

    def read():
        with reading("example 1"):
            for name in ("a", "b"):
                with reading(name):
                    begun.release()
                    ended.acquire()

    with Workers(1, deadline=30) as pool:
        future = pool.submit(read)
        begun.acquire()
        pool._charge_reads(20)
        ended.release()
        begun.acquire()
        pool._charge_reads(20)
        with pytest.raises(UserError, match=r"^b could not be read within 30 s; "):
            pool._charge_reads(20)
        ended.release()
        pool.result(future)


def test_a_closed_pool_ends_its_tasks_at_the_next_read():
    begun = threading.Event()

    def read_forever():
        while True:
            with reading("file"):
                begun.set()

    pool = Workers(2)
    futures = [pool.submit(read_forever) for _ in range(3)]
    begun.wait()
    pool.close()
    assert not any(thread.is_alive() for thread in pool._threads)
    assert all(future.done() for future in futures)
    assert futures[2].cancelled()


def test_outside_of_a_pool_reads_have_no_deadline():
    with reading("file"):
        pass


def run(script: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-c", script],
        cwd=REPOSITORY,
        env=process_environment(),
        capture_output=True,
        text=True,
        check=False,
        timeout=300,
    )


STUCK = """
import sys, threading
import jax
import numpy as np
from flax_googlenet.config import resolve
from flax_googlenet import workers
from flax_googlenet.data import EvaluationBatches, to_devices
from flax_googlenet.errors import UserError
from flax_googlenet.sharding import data_mesh, split_batch

class Stuck:
    class_names = ("a",)
    def __len__(self):
        return 8
    def __getitem__(self, index):
        threading.Event().wait()

workers.READ_DEADLINE = 0.2
data = resolve({"data": {"image_size": 32, "resize": 32}}).data
try:
    next(to_devices(EvaluationBatches(Stuck(), data, 8), range(1), split_batch(data_mesh())))
except UserError as error:
    sys.exit(f"error: {error}")
"""


# If the interpreter exits while a thread is in OpenCV, the process aborts.
ABANDONED = """
import sys, threading
import cv2
import numpy as np
from flax_googlenet.workers import Workers, reading

encoded = cv2.imencode(".png", np.zeros((500, 500, 3), np.uint8))[1]
begun = threading.Event()

def decode_forever():
    while True:
        with reading("file"):
            begun.set()
        cv2.imdecode(encoded, cv2.IMREAD_COLOR)

pool = Workers(2)
for _ in range(4):
    pool.submit(decode_forever)
begun.wait()
"""


@pytest.mark.slow
def test_open_pools_are_closed_at_exit():
    process = run(ABANDONED)
    assert (process.returncode, process.stderr) == (0, "")


@pytest.mark.slow
def test_a_read_that_hangs_does_not_keep_the_process_from_ending():
    process = run(STUCK)
    assert process.returncode == 1
    assert process.stderr.startswith("error: Example ")
    assert process.stderr.endswith(
        " could not be read within 0.2 s; make sure that the file system can be reached.\n"
    )


@pytest.mark.parametrize("read", [read_file, read_file_in_time])
def test_a_regular_file_is_read(tmp_path, read):
    content = os.urandom(300_000)
    (tmp_path / "file").write_bytes(content)
    (tmp_path / "link").symlink_to("file")
    (tmp_path / "empty").touch()
    assert read(tmp_path / "file") == read(str(tmp_path / "link")) == content
    assert read(tmp_path / "empty") == b""


@pytest.mark.parametrize("read", [read_file, read_file_in_time])
@pytest.mark.parametrize(
    ("make", "error", "words"),
    [
        pytest.param(os.mkfifo, CorruptImageError, "is not a regular file; remove", id="fifo"),
        pytest.param(lambda path: path.symlink_to("/dev/zero"), CorruptImageError, "regular", id="device"),
        pytest.param(make_socket, OSError, "No such device or address", id="socket"),
        pytest.param(lambda path: path.mkdir(), CorruptImageError, "regular", id="directory"),
        pytest.param(lambda path: path.symlink_to("nowhere"), FileNotFoundError, "No such", id="broken link"),
    ],
)
def test_other_kinds_of_files_are_refused(tmp_path, make, error, words, read):
    path = tmp_path / "x.jpg"
    make(path)
    with pytest.raises(error, match=words) as caught:
        read(path)
    assert str(path) in str(caught.value)


def test_the_read_of_a_single_file_has_a_deadline(gate, monkeypatch):
    def read(path):
        with reading(path):
            gate.wait()

    monkeypatch.setattr(workers, "read_file", read)
    with pytest.raises(UserError, match=r"^a/b\.jpg could not be read within 0.1 s; "):
        read_file_in_time("a/b.jpg", deadline=0.1)
