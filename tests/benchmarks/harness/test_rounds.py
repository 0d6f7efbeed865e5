import pytest

from benchmarks.conditions import REPOSITORY
from benchmarks.harness.rounds import MATRIX_PRODUCTS, measure
from flax_googlenet.errors import UserError
from tests.benchmarks.harness.workloads import form

pytestmark = pytest.mark.slow

PRODUCTS = "." * (1 + MATRIX_PRODUCTS)


def test_forms_take_turns_in_processes_of_their_own(tmp_path, capfd):
    log = tmp_path / "log"
    options = {"log": str(log)}
    forms = [
        form("a", options={"name": "a", **options}),
        form("b", options={"name": "b", **options}, environment={"OMP_NUM_THREADS": "7"}),
    ]
    result = measure(forms, rounds=2, calls=3)
    warm_up = "aabb"
    assert log.read_text() == warm_up + 2 * (PRODUCTS + "aaa" + PRODUCTS + "bbb")
    assert list(result["forms"]) == ["a", "b"]
    for name, threads in (("a", None), ("b", "7")):
        figures = result["forms"][name]
        assert figures["threads"] == threads
        assert figures["keeps_freed_memory"]
        assert figures["peak_bytes"] > 1e6
        assert len(figures["rounds"]) == 2
        assert figures["gflops"] >= 0
    assert list(result["ratios"]) == ["b"]
    assert len(result["roof_gflops"]) == 2
    stdout, stderr = capfd.readouterr()
    assert stdout == ""
    assert "round 2/2: a " in stderr


def test_the_allocator_of_a_process_can_stay_as_it_is(tmp_path):
    options = {"name": "a", "log": str(tmp_path / "log")}
    result = measure([form("a", options=options)], rounds=1, calls=1, allocator="default")
    assert not result["forms"]["a"]["keeps_freed_memory"]


def test_a_call_that_does_the_work_several_times_counts_as_several():
    figures = measure([form("a", builder="thousandfold")], rounds=1, calls=1)["forms"]["a"]
    assert 5e-5 <= figures["seconds"] < 0.05


@pytest.mark.parametrize(
    ("builder", "reason"), [("failing_build", "ValueError: no network"), ("failing_call", "StopIteration")]
)
def test_a_form_that_fails_is_named(builder, reason, capfd):
    with pytest.raises(UserError, match=f"The form that one failed: {reason}"):
        measure([form("that one", builder=builder)], rounds=1, calls=1)
    assert "Traceback" in capfd.readouterr().err


def test_a_form_of_another_clone_imports_its_library(tmp_path):
    for package in ("flax_googlenet", "launch"):
        (tmp_path / package).mkdir()
        (tmp_path / package / "__init__.py").touch()
    forms = [form("ours", builder="library"), form("theirs", builder="library", checkout=str(tmp_path))]
    found = measure(forms, rounds=1, calls=1)["forms"]
    for name, clone in (("ours", REPOSITORY), ("theirs", tmp_path)):
        assert found[name]["library"] == str(clone / "flax_googlenet/__init__.py")
        assert found[name]["launch"] == str(clone / "launch/__init__.py")
    assert found["theirs"]["commit"] == ""  # it is no git repository
