import jaxlib.utils
import pytest

from flax_googlenet.compilation import without_alarms


def test_errors_are_not_logged_meanwhile(monkeypatch):
    levels: list[int] = []
    monkeypatch.setattr(jaxlib.utils, "absl_set_min_log_level", levels.append)
    monkeypatch.setenv("TF_CPP_MIN_LOG_LEVEL", "1")

    def compile_what_fails() -> None:
        with without_alarms():
            assert levels == [3]
            raise ValueError("compilation failed")

    with pytest.raises(ValueError, match="compilation failed"):
        compile_what_fails()
    assert levels == [3, 1]
