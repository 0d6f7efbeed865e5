import pytest

from benchmarks.conditions import describe
from benchmarks.harness import command
from flax_googlenet.errors import UserError


def measured(others):
    return {"forms": {"ours": {"device": "1 x abacus"}}, "others": others}


@pytest.mark.parametrize(("others", "status"), [(0.0, 0), (0.1, 0), (0.11, 3)])
def test_a_busy_machine_is_said_and_has_its_exit_status(others, status, monkeypatch, capsys):
    monkeypatch.setattr(command, "settings", lambda: {"rounds": 1})
    measurements = {"first": lambda: measured(0.01), "second": lambda: measured(others)}
    result = command.run_all(measurements, packages=("numpy",))
    assert command.exit_status(result) == status
    assert result["busy"] == bool(status)
    assert ("The machine was busy: other processes used 11%" in capsys.readouterr().err) == bool(status)
    conditions = result["conditions"]
    assert conditions["device"] == "1 x abacus"
    assert conditions["others"] == max(0.01, others)
    assert conditions["load_average_before"] >= 0
    assert f"other processes used {max(0.01, others):.0%} of the cores" in describe(conditions)


def test_lists_are_checked():
    assert command.chosen("peer", ["none"], ("eager", "compile")) == []
    assert command.chosen("peer", ["compile"], ("eager", "compile")) == ["compile"]
    with pytest.raises(UserError, match='--peer has no choice "compil"; did you mean "compile"'):
        command.chosen("peer", ["compil"], ("eager", "compile"))
    assert command.whole_numbers("batch_sizes", ["1", "16"]) == [1, 16]
    for value in ("0", "-1", "x", ""):
        with pytest.raises(UserError, match="--batch_sizes"):
            command.whole_numbers("batch_sizes", [value])
