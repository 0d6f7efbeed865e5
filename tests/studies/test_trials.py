import pytest

from flax_googlenet.errors import UserError
from studies.trials import Trials, chosen


def never() -> dict:
    raise AssertionError("the trial is complete")


def test_a_trial_is_run_once(tmp_path):
    settings = {"rate": 0.1, "mean": (1, 2)}
    first = Trials(tmp_path).get("row", 3, settings, lambda: {"top1": 0.5})
    assert first["top1"] == 0.5
    assert Trials(tmp_path).get("row", 3, settings, never) == first
    assert [file.name for file in (tmp_path / "row").iterdir()] == ["seed_3.json"]


def test_another_setting_is_refused(tmp_path):
    Trials(tmp_path).get("row", 0, {"rate": 0.1}, dict)
    with pytest.raises(UserError, match=r"seed_0.json .* rate is 0.1 there and 0.2 here; choose another"):
        Trials(tmp_path).get("row", 0, {"rate": 0.2}, never)


@pytest.mark.parametrize("content", ["", "[]", '{"settings": {}}'])
def test_a_corrupt_trial_is_named(tmp_path, content):
    (tmp_path / "row").mkdir()
    (tmp_path / "row/seed_0.json").write_text(content)
    with pytest.raises(UserError, match=r"seed_0.json is corrupt; remove it"):
        Trials(tmp_path).get("row", 0, {}, never)


def test_a_trial_that_ends_early_leaves_no_file(tmp_path):
    with pytest.raises(AssertionError):
        Trials(tmp_path).get("row", 0, {}, never)
    assert not (tmp_path / "row").exists()


def test_names_are_checked():
    assert chosen("rows", ["b", "a", "b"], ["a", "b"]) == ["b", "a"]
    with pytest.raises(UserError, match='--rows has no choice "torhc"; did you mean "torch"'):
        chosen("rows", ["torhc"], ["torch", "bn"])
    with pytest.raises(UserError, match='--rows is empty; choose from "bn"'):
        chosen("rows", [], ["bn"])
