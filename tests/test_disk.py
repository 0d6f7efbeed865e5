import errno
import logging
import os

import pytest

from flax_googlenet import disk
from flax_googlenet.errors import UserError

FULL = OSError(errno.ENOSPC, "No space left on device")


def test_a_full_disk_is_a_sentence_with_the_space_that_is_left(tmp_path):
    sentence = str(disk.write_error(FULL, tmp_path, 2_500_000))
    assert sentence.startswith(
        f"Cannot write to {tmp_path}, because its disk is full: 2.5 MB are needed and "
    )
    assert sentence.endswith(" MB are free; make room and start again.")


def test_the_space_on_a_disk_that_is_gone_is_not_known(tmp_path):
    sentence = str(disk.write_error(FULL, tmp_path / "gone"))
    assert sentence == (
        f"Cannot write to {tmp_path}/gone, because its disk is full; make room and start again."
    )


def test_a_directory_that_is_gone_is_named():
    error = disk.write_error(OSError(errno.ENOENT, "x"), "/run")
    assert str(error).startswith("/run was deleted or moved while this run wrote to it; start the run again ")


@pytest.mark.parametrize("number", [errno.EROFS, errno.EIO])
def test_other_errors_of_a_disk_are_sentences_too(number):
    error = disk.write_error(OSError(number, "x"), "/run")
    assert str(error) == f"Cannot write to /run: {os.strerror(number)}; make it writable and start again."


def test_errors_of_another_kind_keep_their_traceback():
    assert disk.write_error(ValueError("x"), "/run") is None
    with pytest.raises(OSError, match="no number"), disk.writing("/run"):
        raise OSError("no number")


def test_a_full_disk_is_warned_about_once(tmp_path, caplog):
    with caplog.at_level(logging.WARNING):
        for _ in range(3):
            with disk.writing(tmp_path, "continue"):
                raise FULL
    assert len(caplog.messages) == 1
    assert caplog.messages[0].endswith("; training continues")
    with pytest.raises(UserError, match="its disk is full"), disk.writing(tmp_path, "stop"):
        raise FULL
    with pytest.raises(UserError, match="Read-only file system"), disk.writing(tmp_path, "continue"):
        raise OSError(errno.EROFS, "Read-only file system")
