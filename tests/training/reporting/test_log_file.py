import logging
import pathlib
import re

import pytest
from etils import epath

from flax_googlenet.distributed import Preempted
from flax_googlenet.errors import UserError
from flax_googlenet.training.reporting.log_file import LogFile

library = logging.getLogger("flax_googlenet.training")


@pytest.fixture(autouse=True)
def all_levels(caplog):
    caplog.set_level(logging.DEBUG, "flax_googlenet")


def test_messages_of_each_start_are_appended(tmp_path):
    for number in (1, 2):
        log = LogFile(epath.Path(tmp_path), process=3)
        library.info("before it is open")
        log.start()
        library.info(f"start {number}")
        library.debug("for the file only")
        library.warning("look")
        log.close()
        library.info("after it is closed")
    (file,) = (tmp_path / "logs").iterdir()
    assert file.name == "process_3.log"
    lines = file.read_text().splitlines()
    assert re.fullmatch(r"=== \S+T\S+, \S+: .+ \(jax [\d.]+, .*, Python 3\S+\)", lines[0])
    time = r"\d{4}-\d\d-\d\d \d\d:\d\d:\d\d"
    patterns = [rf"{time} INFO start 1", rf"{time} DEBUG for the file only", rf"{time} WARNING look"]
    for pattern, line in zip(patterns, lines[1:4], strict=True):
        assert re.fullmatch(pattern, line)
    assert lines[4].startswith("=== ")
    assert len(lines) == 8


@pytest.mark.parametrize(
    ("error", "last"),
    [
        (UserError("Wrong."), "error: Wrong."),
        (Preempted(7, "checkpoints/7"), "The run was preempted after step 7."),
        (ZeroDivisionError("by zero"), "ZeroDivisionError: by zero"),
    ],
)
def test_the_error_that_ends_a_run_is_in_its_log(tmp_path, error, last):
    log = LogFile(epath.Path(tmp_path), process=0)
    log.start()
    try:
        raise error
    except Exception as caught:
        log.close(caught)
    text = (tmp_path / "logs/process_0.log").read_text()
    assert text.splitlines()[-1] == last
    assert ("Traceback" in text) == isinstance(error, ZeroDivisionError)


def test_a_run_that_is_refused_leaves_no_log(tmp_path):
    LogFile(epath.Path(tmp_path), process=0).close(UserError("Wrong."))
    assert not list(tmp_path.iterdir())


def test_no_log_in_a_bucket():
    log = LogFile(epath.Path("gs://bucket/run"), process=0)
    log.start()
    log.close()


def test_a_file_in_the_place_of_the_logs_is_named(tmp_path):
    (tmp_path / "logs").write_text("")
    with pytest.raises(UserError, match=rf"Cannot write {tmp_path}/logs/process_0.log: File exists; move"):
        LogFile(epath.Path(tmp_path), process=0).start()


def test_a_full_disk_ends_the_log_and_not_the_run(tmp_path, caplog, capsys):
    log = LogFile(epath.Path(tmp_path), process=0)
    log.start()
    full = pathlib.Path("/dev/full").open("w")  # noqa: SIM115
    log._handler.setStream(full).close()
    for message in ("one", "two"):
        library.info(message)
    path = tmp_path / "logs/process_0.log"
    warning = f"cannot write {path}: [Errno 28] No space left on device; this log ends here"
    assert caplog.messages == [warning, "one", "two"]
    log.close(UserError("Wrong."))
    assert "Traceback" not in capsys.readouterr().err
