import os
import pathlib
import socket
import subprocess
import sys

import filelock
import pytest
from etils import epath

from flax_googlenet.checkpoints import lock
from flax_googlenet.checkpoints.lock import WorkdirLock
from flax_googlenet.errors import UserError

HERE = socket.gethostname()


def lock_of(workdir, **options) -> WorkdirLock:
    return WorkdirLock(epath.Path(workdir), **options)


def test_a_second_run_is_refused_until_the_first_one_ends(tmp_path):
    first, second = lock_of(tmp_path), lock_of(tmp_path)
    first.acquire()
    for _ in range(2):
        with pytest.raises(UserError) as caught:
            second.acquire()
        assert str(caught.value).startswith(f"Process {os.getpid()} on {HERE}, which started at 20")
        assert str(caught.value).endswith(
            f", uses the workdir {tmp_path}; stop it, wait for its end, or choose another workdir."
        )
    second.release()
    first.check()
    first.release()
    second.acquire()
    second.check()
    second.release()
    assert [path.name for path in tmp_path.iterdir()] == [".lock"]


def hold(workdir: pathlib.Path, host: str = HERE) -> subprocess.Popen[str]:
    """Start a process that locks a workdir, in the name of a host, and waits."""
    code = (
        f"import socket, time; socket.gethostname = lambda: {host!r}\n"
        "from etils import epath\n"
        "from flax_googlenet.checkpoints.lock import WorkdirLock\n"
        f"lock = WorkdirLock(epath.Path({str(workdir)!r}))\n"
        "lock.acquire()\n"
        "print('locked', flush=True)\n"
        "time.sleep(600)"
    )
    process = subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE, text=True)
    assert process.stdout is not None
    assert process.stdout.readline() == "locked\n"
    return process


@pytest.mark.slow
@pytest.mark.parametrize("host", [HERE, "node7"])
def test_the_lock_of_a_killed_process_blocks_nobody(tmp_path, host):
    process = hold(tmp_path, host)
    try:
        words = f"Process {process.pid} on {host}, which started at .* uses the workdir"
        with pytest.raises(UserError, match=words):
            lock_of(tmp_path, lease=0.5).acquire()
    finally:
        process.kill()
        process.communicate()
    after = lock_of(tmp_path)
    after.acquire()
    after.check()
    after.release()


def test_the_lock_of_a_lost_host_is_waited_for(tmp_path):
    """NFS releases it when the lease of the host ends."""
    (tmp_path / ".owner.json").write_text('{"host": "node7", "process": 1, "started": "then"}')
    held = filelock.FileLock(tmp_path / ".lock")
    held.acquire()

    class Released(filelock.FileLock):
        def acquire(self, *arguments, timeout=None, **options):
            if timeout is not None:
                held.release()
            return super().acquire(*arguments, timeout=timeout, **options)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(lock.filelock, "FileLock", Released)
        waiting = lock_of(tmp_path)
        waiting.acquire()
    waiting.check()
    waiting.release()


def test_an_owner_that_is_about_to_write_its_name(tmp_path):
    first = lock_of(tmp_path)
    first.acquire()
    (tmp_path / ".owner.json").write_text("")
    with pytest.raises(UserError, match=r"Another process uses the workdir"):
        lock_of(tmp_path).acquire()
    first.release()


def test_a_file_system_that_takes_no_files_is_not_locked(caplog):
    nowhere = lock_of("/proc/self")
    nowhere.acquire()
    assert "/proc/self is not locked against other runs: No such file or directory" in caplog.text
    nowhere.release()


def test_the_last_run_in_a_bucket_keeps_the_workdir(tmp_path, monkeypatch):
    """A bucket has no locks, so that an earlier run notices only at its next save."""
    monkeypatch.setattr(lock, "is_remote", lambda _: True)
    first, second = lock_of(tmp_path), lock_of(tmp_path)
    first.acquire()
    first.check()
    second.acquire()
    second.check()
    words = rf"Process {os.getpid()} on {HERE}, .* has begun to use the workdir {tmp_path}, so this run ends"
    with pytest.raises(UserError, match=words):
        first.check()
    first.release()
    second.check()
    second.release()
    with pytest.raises(UserError, match=rf"The workdir {tmp_path} was deleted or moved while this run wrote"):
        second.check()
