import jaxlib.utils
import pytest

from flax_googlenet.runtime.compilation import without_alarms


def test_errors_are_raised_but_not_logged(monkeypatch):
    levels: list[int] = []
    monkeypatch.setattr(jaxlib.utils, "absl_set_min_log_level", levels.append)
    monkeypatch.setenv("TF_CPP_MIN_LOG_LEVEL", "1")

    def fail_to_compile() -> None:
        with without_alarms():
            assert levels == [3]
            raise ValueError("compilation failed")

    with pytest.raises(ValueError, match="compilation failed"):
        fail_to_compile()
    assert levels == [3, 1]
