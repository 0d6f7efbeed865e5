import pytest

# Otherwise a failing assertion of a shared helper does not show its values.
pytest.register_assert_rewrite("tests.support")
