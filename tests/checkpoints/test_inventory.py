import importlib
import json
import pathlib
import sys

import pytest

from flax_googlenet import checkpoints
from flax_googlenet.checkpoints import WorkdirLock, choose_to_remove, take_inventory
from flax_googlenet.errors import UserError
from flax_googlenet.paths import resolve_path
from tests.support.checkpoints import save
from tests.support.commands import as_in_a_new_process

TOP1 = {1: 0.9, 2: 0.5, 3: 0.7, 4: 0.6}


@pytest.fixture(scope="module")
def command():
    with as_in_a_new_process():
        yield importlib.import_module("launch.checkpoint")
    del sys.modules["launch.checkpoint"]


@pytest.fixture
def run(tmp_path) -> pathlib.Path:
    save(tmp_path, TOP1, TOP1, keep_last=9)
    return tmp_path


def damage(run: pathlib.Path, step: int) -> pathlib.Path:
    file = run / f"checkpoints/{step}/description/metadata"
    file.write_bytes(file.read_bytes()[:-1])
    return file


def test_a_checkpoint_is_listed_with_its_size_and_its_accuracy(run):
    file = damage(run, 2)
    entries = take_inventory(run)
    assert {entry.step: (entry.sound, entry.top1) for entry in entries} == {
        1: (True, 0.9),
        2: (False, None),
        3: (True, 0.7),
        4: (True, 0.6),
    }
    size = sum(path.stat().st_size for path in (run / "checkpoints/3").rglob("*") if path.is_file())
    assert entries[2].size == size
    assert entries[1].reason == f"{file} is corrupt: it is not the file that was saved"


def test_a_workdir_without_checkpoints_is_named(tmp_path):
    with pytest.raises(UserError, match=f"There is no checkpoint in {tmp_path}; give the workdir of a run"):
        take_inventory(tmp_path)


@pytest.mark.parametrize(
    ("keep_last", "keep_best", "corrupt", "removed"),
    [
        (1, 0, (), [1, 2, 3]),
        (1, 1, (), [2, 3]),
        (2, 1, (), [2]),
        (0, 1, (), [2, 3, 4]),
        (9, 0, (), []),
        (1, 0, (4,), [1, 2]),  # the last sound one is kept, and the corrupt one is left
        (1, 1, (1, 4), [2]),
    ],
)
def test_the_last_and_the_best_sound_checkpoints_are_kept(run, keep_last, keep_best, corrupt, removed):
    for step in corrupt:
        damage(run, step)
    chosen = choose_to_remove(take_inventory(run), keep_last=keep_last, keep_best=keep_best)
    assert [entry.step for entry in chosen] == removed


@pytest.mark.parametrize("corrupt", [(), (1, 2, 3)])
def test_the_only_sound_checkpoints_are_not_removed(run, corrupt):
    for step in corrupt:
        damage(run, step)
    with pytest.raises(UserError, match=f"would remove every sound checkpoint in {run}/checkpoints"):
        choose_to_remove(take_inventory(run), keep_last=0, keep_best=0)


@pytest.fixture
def flags(command, run):
    """The flags of the command, with their defaults and the workdir."""
    values = {"workdir": str(run), "keep_last": 1, "keep_best": 1, "remove_corrupt": False}
    with pytest.MonkeyPatch.context() as patch:
        for name in values:
            holder = getattr(command, f"_{name.upper()}")
            patch.setattr(type(holder), "value", property(lambda flag: values[flag.name]))
        yield values


def steps(result) -> list[int]:
    return [checkpoint["step"] for checkpoint in result["checkpoints"]]


@pytest.mark.usefixtures("flags")
def test_the_command_lists_and_verifies(command, run, capsys):
    for action in ("list", "verify"):
        result = command.main([action])
        assert json.loads(json.dumps(result)) == result
        assert steps(result) == [1, 2, 3, 4]
        assert command.exit_status(result) == 0
    file = damage(run, 3)
    capsys.readouterr()
    assert command.exit_status(command.main(["list"])) == 0
    assert command.exit_status(command.main(["verify"])) == 1
    lines = capsys.readouterr().err.splitlines()
    assert lines[2].endswith(f", corrupt: {file} is corrupt: it is not the file that was saved")
    assert lines[3].endswith("MB, top1 0.6000, sound")


def test_the_command_prunes(command, run, flags):
    directory = run / "checkpoints"
    damage(run, 4)
    for name in ("corrupt-7", "incomplete-8", "9.orbax-checkpoint-tmp"):
        (directory / name).mkdir()
    result = command.main(["prune"])
    assert steps(result) == [1, 3, 4]
    names = {path.name for path in directory.iterdir()}
    assert names == {"1", "3", "4", "corrupt-7", "incomplete-8", "9.orbax-checkpoint-tmp"}
    flags.update(remove_corrupt=True, keep_best=0)
    assert steps(command.main(["prune"])) == [3]
    assert [path.name for path in directory.iterdir()] == ["3"]
    assert checkpoints.find(run).name == "3"


@pytest.mark.usefixtures("flags")
def test_the_command_does_not_prune_while_a_run_trains(command, run):
    lock = WorkdirLock(resolve_path(run))
    lock.acquire()
    with pytest.raises(UserError, match="uses the workdir"):
        command.main(["prune"])
    lock.release()
    assert len(take_inventory(run)) == 4


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ([], "There is no action; write list, verify or prune after launch.checkpoint."),
        (["verfy"], 'There is no action "verfy"; did you mean "verify"?'),
        (["list", "all"], '"all" is not a flag'),
    ],
)
def test_a_wrong_action_is_named(command, arguments, words):
    with pytest.raises(UserError) as caught:
        command.main(arguments)
    assert words in str(caught.value)
